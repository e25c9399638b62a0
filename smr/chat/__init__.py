"""What customers say: topics, told by literal words in Chinese text, however it is spelled.

In: topics (built-in ones and the operator's), messages. Out: which topics a message speaks of, and by which
word. Knows no table; whoever records a message asks here, once.
"""

from smr.chat.fold import BREAK, fold, latin_words
from smr.chat.listen import Heard, Listener
from smr.chat.topics import BUILT_IN, Topic, topics_of

__all__ = ["BREAK", "BUILT_IN", "Heard", "Listener", "Topic", "fold", "latin_words", "topics_of"]
