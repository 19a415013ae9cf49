"""What both ways to run a local model share: token trees (``vlmkit.tokentree``) and forked caches (``vlmkit.forking``).

    checkpoint -> chat (prompts in tokens) -> asked, candidates (a query in tokens, and back) -> answers

``budget`` is how much goes into one forward, ``memory`` what is remembered, ``bill`` who pays.
"""
