"""The four token ids that every text component agrees on."""

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>")
"""Their spellings, in the order of their ids."""

MISSING = -1
"""The label of a row that has none."""
STRANGE = -2
"""The label of a held-out row whose class no training row has, where the set of classes is open."""
