import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vlmkit.errors import PromptError
from vlmkit.prompts import BUILT_IN, Prompt, default_prompt, named_prompt
from vlmkit.types import Label

WORDS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=12)
PLAIN = st.lists(WORDS.map(Label), min_size=1, max_size=6, unique=True)
DESCRIBED = st.lists(st.builds(Label, WORDS, WORDS, st.lists(WORDS, max_size=2)), min_size=1, max_size=6, unique=True)


@given(PLAIN, st.booleans(), st.booleans())
def test_without_descriptions_both_built_in_prompts_say_the_same(options, allow_none, letters):
    choose, described = (named_prompt(n).render(options, allow_none=allow_none, letters=letters) for n in BUILT_IN)
    assert choose == described


@given(DESCRIBED)
def test_described_shows_what_the_options_have(options):
    lines = named_prompt("described").render(options).splitlines()[-len(options) :]
    for line, option in zip(lines, options, strict=True):
        also = f" (also called {', '.join(option.synonyms)})" if option.synonyms else ""
        assert line == f"{option.name}: {option.description}{also}"


@pytest.mark.parametrize("name", BUILT_IN)
@given(DESCRIBED, DESCRIBED, st.booleans(), st.booleans())
def test_words_before_the_options_are_the_same_for_every_group(name, group, other, allow_none, letters):
    heads = {
        named_prompt(name).render(options, allow_none=allow_none, letters=letters).partition("Categories:\n")[0]
        for options in (group, other)
    }
    assert len(heads) == 1


@pytest.mark.parametrize("name", BUILT_IN)
def test_none_is_offered_only_where_it_is_allowed(name):
    options = [Label("cat"), Label("dog")]
    assert "say None only if" in named_prompt(name).render(options, allow_none=True)
    assert "None" not in named_prompt(name).render(options, allow_none=False)


@pytest.mark.parametrize("name", BUILT_IN)
def test_letters_stand_before_the_options(name):
    lines = named_prompt(name).render([Label("cat"), Label("dog")], letters=True).splitlines()
    assert lines[-2:] == ["A. cat", "B. dog"]
    with pytest.raises(PromptError):
        named_prompt(name).render([Label(str(number)) for number in range(27)], letters=True)


def test_a_name_wins_over_a_file_and_a_file_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "Pick one of {{ options | map(attribute='name') | join(', ') }}."
    for name in ("choose", "mine.jinja"):
        (tmp_path / name).write_text("\ufeff" + text, encoding="utf-8")
    assert named_prompt("choose") == default_prompt()
    assert named_prompt("mine.jinja").render([Label("cat")]) == named_prompt("./choose").render([Label("cat")])
    assert named_prompt("mine.jinja").render([Label("cat"), Label("dog")]) == "Pick one of cat, dog."


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for option in options %}{{ option.name | lower }}{% endfor %}", "does not show every option as it is"),
        ("Which is it?", "does not show every option as it is"),
        ("{% for", "is not a jinja2 template"),
        ("{{ labels }}", "'labels' is undefined"),
        ("{{ 1 / 0 }}", "division by zero"),
        (b"\xff", "cannot be read"),
    ],
)
def test_unusable_prompt_files(template, says, tmp_path):
    path = tmp_path / "mine.jinja"
    path.write_bytes(template if isinstance(template, bytes) else template.encode())
    with pytest.raises(PromptError, match=says):
        named_prompt(str(path))


def test_neither_a_name_nor_a_file():
    with pytest.raises(PromptError, match="did you mean described") as caught:
        named_prompt("describe")
    assert "no such file" in caught.value.message


def test_the_example_of_the_docs_works(pytestconfig, tmp_path):
    page = (pytestconfig.rootpath / "docs" / "prompts.md").read_text(encoding="utf-8")
    path = tmp_path / "bird.jinja"
    path.write_text(page.split("```jinja\n")[1].split("```")[0], encoding="utf-8")
    options = [Label("crane", "a tall wading bird"), Label("heron")]
    text = named_prompt(str(path)).render(options, letters=True, allow_none=True)
    assert "A. crane, a tall wading bird\nB. heron" in text and "None" in text


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(lambda text: text.strip("\n") == text))
@example("{{ 1 }} {% raw %} {# \"quoted\" 'too' #} \\n \\ 猫 😀")
def test_a_sentence_before_a_question_is_shown_as_it_is(sentence):
    options = [Label("cat"), Label("dog")]
    question = default_prompt()
    assert question.after(sentence).render(options) == f"{sentence}\n{question.render(options)}"


@pytest.mark.parametrize(
    "escape",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ options[0].__class__ }}",
        "{{ options[0].name.__class__ }}",
        "{{ options.index.__self__ }}",
        "{{ options[0].name.index.__doc__ }}",
        "{% for option in options %}{{ loop.__init__.__globals__ }}{% endfor %}",
        "{% for option in options %}{{ loop.index.__class__ }}{% endfor %}",
        "{{ '{0.__class__}'.format(options[0]) }}",
        "{{ options.append(1) }}",
    ],
)
def test_a_template_reaches_nothing_but_its_options(escape):
    with pytest.raises(PromptError, match=r"is unsafe|is not safely callable"):
        Prompt(escape + "{% for option in options %}{{ option.name }}{% endfor %}", name="stranger.jinja")
