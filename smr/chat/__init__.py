"""What customers say: topics, told by literal words in Chinese text, however it is spelled.

In: topics (built-in ones and the operator's), messages. Out: which topics a message speaks of, and by which
word. Knows no table; whoever records a message asks here, once.
"""

from smr.chat.fold import BREAK, fold, latin_words
from smr.chat.listen import Heard, Listener
from smr.chat.topics import Topic, built_in, topics_of

__all__ = ["BREAK", "Heard", "Listener", "Topic", "built_in", "fold", "latin_words", "topics_of"]
