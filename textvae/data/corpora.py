"""The kinds of data that a data section names: texts, images, rows of several fields."""

from textvae.data.images import ImageCorpus
from textvae.data.readers import Corpus
from textvae.data.tables import TableCorpus

AnyCorpus = Corpus | ImageCorpus | TableCorpus
