"""Any server that speaks the OpenAI protocol: vLLM, SGLang, ``transformers serve``, hosted APIs."""

from vlmkit_adapters.openai.backend import ServerBackend

__all__ = ["ServerBackend"]
