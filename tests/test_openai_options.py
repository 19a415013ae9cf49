"""Options of the adapter ``openai`` that are refused before anything is asked."""

from __future__ import annotations

import pytest

from vlmkit.errors import DataError, SpecError
from vlmkit_adapters.openai import ServerBackend


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ('{"other": {"input": 1, "output": 2}}', "has no model 'fake'"),
        ('{"fake": {"input": 1}}', "are no good"),
        ('{"fake": {"input": 1, "output": "2"}}', "are no good"),
    ],
)
def test_wrong_price_table_is_refused_at_once(tmp_path, content, said):
    table = tmp_path / "prices.json"
    table.write_text(content)
    with pytest.raises(DataError, match=said):
        ServerBackend("fake", prices=table)


@pytest.mark.parametrize("url", ["http://me:pass@host/v1", "https://host/v1?key=pass", "host/v1", "ftp://host"])
def test_address_that_is_none_or_holds_a_secret_is_refused_without_repeating_it(url):
    with pytest.raises(SpecError) as refused:
        ServerBackend("fake", url)
    assert "pass" not in str(refused.value).replace("a password", "")
