"""Whether blanks separate words, in several languages, and the words that tokenizers lack."""

import pytest
from support.commands import sentences

from textvae.data.batching import Sentences
from textvae.data.tokenizers import train_tokenizer
from textvae.data.words import (
    count_unknown,
    in_units,
    mostly_unknown,
    separated_by_blanks,
    unknown_words,
)
from textvae.vocabulary import UNK

BLANKS = {
    "English": ["The soup was cold .", "They won the final ."],
    "German": [
        "Die Rechtsschutzversicherungsgesellschaften schweigen.",
        "Geschwindigkeitsbegrenzung auf Bundesautobahnen",
    ],
    "German compounds alone": ["Donaudampfschiff", "Kraftfahrzeugsteuer", "Wetterbericht"],
    "Finnish": ["Epäjärjestelmällisyydestäänkin huolimatta hän tuli töihin."],
    "Russian": ["Достопримечательности этого города известны всем."],
    "Korean": ["선생님은 어제 신문을 좋아합니다.", "우리는 새 영화를 보았습니다."],
    "Malayalam": ["എനിക്ക് മലയാളം സംസാരിക്കാൻ അറിയാം"],
    "segmented Chinese": ["老师 喜欢 昨天 的 报纸 。", "学生 卖掉 了 新 的 电影 。"],
    "segmented Thai": ["ฉัน ชอบ อ่าน หนังสือพิมพ์ ทุก เช้า"],
    "words with an address": ["see https://example.org/" + "x" * 900 + " for more of the same"],
    "one blank text": [""],
}
NO_BLANKS = {
    "Chinese": ["他们忘记了一本旧书。老师喜欢昨天的报纸。", "邻居喜欢一碗热汤。"],
    "short Chinese": ["我们看电影。", "他买了书。"],
    "Chinese with English names": ["我们用Python写了一个很小的程序 今天它在GPU上运行得很快。"],
    "Japanese": ["先生は昨日の新聞が好きです。", "新しい映画を見ました。"],
    "Thai": ["ฉันชอบอ่านหนังสือพิมพ์ทุกเช้า", "เขาซื้อหนังสือเล่มใหม่ เมื่อวานนี้"],
    "Khmer": ["ខ្ញុំចូលចិត្តអានសៀវភៅរាល់ព្រឹក"],
    "molecules": ["CC(=O)OC1=CC=CC=C1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"],
}


@pytest.mark.parametrize("texts", BLANKS.values(), ids=BLANKS)
def test_blanks_separate_words(texts):
    assert separated_by_blanks(texts)


@pytest.mark.parametrize("texts", NO_BLANKS.values(), ids=NO_BLANKS)
def test_blanks_separate_no_words(texts):
    assert not separated_by_blanks(texts)


def test_units_are_words_or_characters():
    assert in_units(["a dog", ""], "word") == ["a dog", ""]
    assert in_units(["老师 好。", ""], "character") == ["老 师 好 。", ""]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_subwords_spell_every_text(kind):
    tokenizer = train_tokenizer(kind, sentences(), 300)
    texts = ["zzyzx qwfp", "他们 😀 <unk> <s>", "\x10 \u2581"]
    assert count_unknown(Sentences.encoded(tokenizer, texts)) == 0
    assert unknown_words(tokenizer, texts).text() == ""


def test_unknown_words_are_named():
    tokenizer = train_tokenizer("word", sentences(), 100)
    texts = ["the zzyzx saw qwfp .", "zzyzx <unk> soup"]
    found = unknown_words(tokenizer, texts)
    assert found.counts == {"zzyzx": 2, "qwfp": 1} and found.words == 8
    assert found.text() == "unknown to the model: zzyzx, qwfp"
    assert unknown_words(tokenizer, ["the dog"]).text() == ""
    # The text's own <unk> is no word of it, but a token that the nll does not tell apart.
    assert count_unknown(Sentences.encoded(tokenizer, texts)) == 4
    assert Sentences.encoded(tokenizer, ["zzyzx"])[0][1] == UNK


def test_of_many_texts_the_share_and_the_most_frequent_are_named():
    tokenizer = train_tokenizer("word", ["a b c"], 100)
    texts = ["a b c"] * 9 + ["x" * 50] * 2 + [f"a n{n}" for n in range(10)]
    text = unknown_words(tokenizer, texts).text()
    assert text.startswith("24.5 % of 49 words are unknown to the model, mostly: xxx")
    assert text.endswith("x..., n0, n1, n2, n3") and "x" * 41 not in text


def test_a_bag_does_not_know_words_that_it_leaves_out():
    tokenizer = train_tokenizer("bag", ["the soup was cold"] * 3, 100, "english")
    assert unknown_words(tokenizer, ["Soup, the zzyzx!"]).counts == {"the": 1, "zzyzx": 1}


def test_mostly_unknown_tokens_are_warned_of():
    assert mostly_unknown(4, 9) is None
    assert mostly_unknown(5, 10).startswith("50 % of the held-out tokens are <unk>")
