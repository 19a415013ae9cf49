"""The adapter on small random models: its contract, and its scores against those of plain forwards."""

import pytest
from vlmkit_smolvlm.family import smolvlm

from vlmkit.cli.main import main
from vlmkit.testing import check_backend
from vlmkit.testing.models import chat_template, small_checkpoint, text_config, tokenizer

PLACES = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
TOKENS = ["<image>", "<video>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *PLACES]
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
TILES = {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56}}


def parts(tokens):
    config = {
        "text_config": text_config(tokens, model_type="llama"),
        "vision_config": {**VISION, "image_size": 56, "patch_size": 14},
        "scale_factor": 2,
        "image_token_id": tokens.convert_tokens_to_ids("<image>"),
    }
    return config, {"image_seq_len": 4, "chat_template": chat_template("<image>")}


def small_idefics3():
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3ImageProcessor, Idefics3Processor

    tokens = tokenizer(*TOKENS)
    config, settings = parts(tokens)
    processor = Idefics3Processor(Idefics3ImageProcessor(**TILES), tokens, **settings)
    return Idefics3ForConditionalGeneration(Idefics3Config(**config)), processor


def small_smolvlm():
    pytest.importorskip("num2words")  # the processor of SmolVLM2 wants it
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    tokens = tokenizer(*TOKENS)
    config, settings = parts(tokens)
    processor = SmolVLMProcessor(SmolVLMImageProcessor(**TILES), tokens, SmolVLMVideoProcessor(), **settings)
    return SmolVLMForConditionalGeneration(SmolVLMConfig(**config)), processor


@pytest.fixture(scope="module", params=[small_idefics3, small_smolvlm])
def checkpoint(request, tmp_path_factory):
    return small_checkpoint(request.param, tmp_path_factory.mktemp("model"))


def test_contract(checkpoint):
    check_backend(smolvlm(str(checkpoint), device="cpu", dtype="float32"))


def test_parity(checkpoint):
    with pytest.raises(SystemExit) as end:
        main(["parity", str(checkpoint), "--device", "cpu"])
    assert end.value.code == 0
