"""The entailment model's plumbing, with a tiny one of random weights: what it knows is its maker's affair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from aura.errors import ArtifactError
from inference.chat.entailment import EntailmentModel
from inference.chat.support import SupportChecker, SupportSettings
from inference.text_embedding import TextEmbedder

_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "wash", "silk", "wool", "cold", "hot", "never", ".")
_MAX_TOKENS = 24


def _save(folder: Path, labels: tuple[str, ...]) -> Path:
    torch.manual_seed(5)
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(_WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=_MAX_TOKENS,
    ).save_pretrained(folder)  # fmt: skip
    config = BertConfig(
        vocab_size=len(_WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=_MAX_TOKENS, id2label=dict(enumerate(labels)), initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("nli"), ("contradiction", "Entailment", "neutral"))


def test_it_gives_the_probability_of_the_label_entailment(folder: Path) -> None:
    pairs = [
        ("wash silk cold .", "wash silk hot ."),
        ("never wash wool .", "wash wool ."),
        ("wash silk cold .", "silk"),
    ]
    model = EntailmentModel(str(folder))
    together = model.probabilities(pairs)
    assert together.shape == (3,)
    assert together.dtype == np.float32
    assert len(set(together.tolist())) == 3
    np.testing.assert_allclose(together, [model.probabilities([pair])[0] for pair in pairs], atol=1e-5)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    with torch.inference_mode():
        logits = (
            BertForSequenceClassification.from_pretrained(folder)
            .eval()(**tokenizer(*pairs[0], return_tensors="pt"))
            .logits
        )
    assert together[0] == pytest.approx(float(logits.softmax(-1)[0, 1]), abs=1e-5)
    assert together[0] != pytest.approx(float(logits.softmax(-1)[0, 0]), abs=1e-3)


def test_no_pairs_and_a_long_premise(folder: Path) -> None:
    model = EntailmentModel(str(folder))
    assert model.probabilities([]).shape == (0,)
    assert np.isfinite(model.probabilities([("wash silk cold . " * 20, "never wash wool .")])).all()


def test_a_checker_asks_it(folder: Path) -> None:
    passage = "Wash silk cold. Never wash wool hot."
    settings = SupportSettings(entailment=str(folder), min_entailment=0.0)
    embed, entail = TextEmbedder().encode, EntailmentModel(str(folder)).probabilities
    checker = SupportChecker(embed, settings, entail)
    assert [one.verdict for one in checker.check(["Wash silk cold.", "Wash wool hot."], [passage])] == [
        "supported",
        "contradicted",
    ]
    strict = SupportChecker(embed, settings.model_copy(update={"min_entailment": 1.0}), entail)
    assert strict.check(["Wash silk cold."], [passage])[0].verdict == "unsupported"


def test_a_model_without_the_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no label entailment, but good, bad"):
        EntailmentModel(str(_save(tmp_path, ("good", "bad"))))


def test_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no entailment model") as error:
        EntailmentModel(str(tmp_path))
    assert "trained on entailment" in str(error.value.hint)
