"""The models file: what it may say, and what a mistake in it is told."""

from pathlib import Path

import pytest
from ollama_openai_proxy.models.models_file import ModelEntry, ModelsFile, load_models_file
from ollama_openai_proxy.settings import SettingsError

EXAMPLE = Path(__file__).parents[3] / "examples" / "models.toml"
SECRET = "sk-secret"  # what must not be seen


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models.toml"


def load(path: Path, text: str) -> ModelsFile:
    path.write_text(text, "utf-8")
    return load_models_file(path)


# ── what it may say


def test_the_example_can_be_used_as_it_is() -> None:
    example = load_models_file(EXAMPLE)
    assert set(example.backends) == {"lab"}
    assert example.backends["lab"].url == "http://127.0.0.1:8000/v1"
    assert example.backends["lab"].api_key_env == "LAB_API_KEY"
    assert example.models["llama3.2"].target == "gpt-4o-mini"
    assert example.models["qwen3:8b"].capabilities == ["completion", "tools", "thinking"]
    assert example.models["brief"].options == {"temperature": 0.2, "num_predict": 200}
    assert example.models["internal-eval"].hidden


def test_without_a_file_nothing_is_said(path: Path) -> None:
    assert load_models_file(None) == ModelsFile() == load(path, "")


def test_what_is_left_out_has_a_default(path: Path) -> None:
    loaded = load(path, '[backends.lab]\nurl = "http://lab:1/v1/"\n[models.m]\n')
    lab, model = loaded.backends["lab"], loaded.models["m"]
    assert (lab.url, lab.key(), lab.profile) == ("http://lab:1/v1", None, None)
    assert (model.target, model.backend, model.hidden, model.capabilities) == (None, None, False, None)
    assert (model.options, model.system) == ({}, "")


def test_a_model_may_be_said_to_do_nothing(path: Path) -> None:
    assert load(path, "[models.m]\ncapabilities = []\n").models["m"].capabilities == []


# ── keys


@pytest.mark.parametrize(
    ("lines", "environment", "key"),
    [
        ("", None, None),
        (f'api_key = "{SECRET}"', None, SECRET),
        ('api_key_env = "LAB_API_KEY"', SECRET, SECRET),
        ('api_key_env = "LAB_API_KEY"', None, None),
        ('api_key_env = "LAB_API_KEY"', "", None),
        pytest.param('api_key = "other"\napi_key_env = "LAB_API_KEY"', SECRET, SECRET, id="the environment first"),
        pytest.param(f'api_key = "{SECRET}"\napi_key_env = "LAB_API_KEY"', None, SECRET, id="else the file"),
    ],
)
def test_a_key_comes_from_the_environment_or_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, environment: str | None, key: str | None
) -> None:
    monkeypatch.delenv("LAB_API_KEY", raising=False)
    if environment is not None:
        monkeypatch.setenv("LAB_API_KEY", environment)
    found = load(path, f'[backends.lab]\nurl = "http://lab/v1"\n{lines}\n').backends["lab"].key()
    assert (found.get_secret_value() if found else None) == key


def test_a_key_of_the_environment_must_be_usable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_API_KEY", f"{SECRET}ü")
    lab = load(path, '[backends.lab]\nurl = "http://lab/v1"\napi_key_env = "LAB_API_KEY"\n').backends["lab"]
    with pytest.raises(SettingsError, match=r"^LAB_API_KEY is wrong: it must be an API key, which has neither"):
        lab.key()


def test_a_key_is_not_shown(path: Path) -> None:
    loaded = load(path, f'[backends.lab]\nurl = "http://lab/v1"\napi_key = "{SECRET}"\n')
    lab = loaded.backends["lab"]
    for shown in (loaded, lab, lab.key(), lab.model_dump(), loaded.model_dump_json()):
        assert SECRET not in f"{shown!r} {shown!s}"


# ── mistakes


LAB = '[backends.lab]\nurl = "http://lab/v1"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("[model.a]", ": model is no table of the file: write `models`.", id="a misspelt table"),
        pytest.param(
            "[services.a]", ": services is no table of the file: it must be one of backends, models.", id="an unknown table"
        ),
        pytest.param(
            "[models.a]\ntargt = 'b'", ": models.a.targt is no key of a model: write `target`.", id="a misspelt key of a model"
        ),
        pytest.param(
            "[models.a]\nmodell = 1", ": models.a.modell is no key of a model: write `target`.", id="an older key, misspelt"
        ),
        pytest.param(
            "[models.a]\ncolour = 1",
            f": models.a.colour is no key of a model: it must be one of {', '.join(ModelEntry.model_fields)}.",
            id="an unknown key of a model",
        ),
        pytest.param(
            "[models.a.optoins]\nseed = 1", ": models.a.optoins is no key of a model: write `options`.", id="a misspelt table"
        ),
        pytest.param(
            f"{LAB}apikey = '{SECRET}'",
            ": backends.lab.apikey is no key of a server: write `api_key`.",
            id="a misspelt key of a back end",
        ),
        *[
            pytest.param(
                f"[models.{name}]\n{line}",
                f": models.{place} is no key of a model: if it is a part of the name, write the name in quotes: "
                f'[models."{name}"].',
                id=f"a dot in the name {name}",
            )
            for name, place, line in (
                ("llama3.2", "llama3.2", "target = 'x'"),
                ("gpt-4.1.mini", "gpt-4.1", "target = 'x'"),
                ("qwen2.5", "qwen2.5", "options = { seed = 1 }"),
                ("a.b.c", "a.b", ""),
            )
        ],
        pytest.param(
            "[models.a]\nthink = 'high'\nthink_levels = [false, 'low']",
            ": models.a.think is 'high', which is not in think_levels: add it there, or set think to one of false, \"low\".",
            id="a level that is not among the levels",
        ),
        pytest.param(
            f"{LAB}api_key = 'sk-…{SECRET}'",
            ": backends.lab.api_key is wrong: it must be an API key, which has neither spaces nor letters with accents.",
            id="a key that no header can hold",
        ),
        pytest.param("[backends.lab]", ": backends.lab needs a url or a preset.", id="a back end without URL"),
        pytest.param(
            "[models.a]\nbackend = 'x'", ": models.a.backend names 'x', which is not in [backends].", id="unknown back end"
        ),
        pytest.param(
            "[models.a]\ncapabilities = ['tool']",
            ": models.a.capabilities.0 is wrong: input should be 'completion', 'tools', 'insert', 'vision', 'embedding', "
            "'thinking', 'audio' or 'decision'.",
            id="an unknown capability",
        ),
        pytest.param(
            "[models.a]\ncontext_length = 0",
            ": models.a.context_length is wrong: input should be greater than 0.",
            id="nothing",
        ),
        pytest.param(
            "[models.a]\noptions = 1", ": models.a.options is wrong: input should be a valid dictionary.", id="a wrong type"
        ),
        pytest.param(
            '[models."a.b"]\nhidden = "maybe"',
            ": models.a.b.hidden is wrong: input should be a valid boolean, unable to interpret input.",
            id="neither yes nor no",
        ),
        pytest.param("models = 1", ": models is wrong: input should be a valid dictionary.", id="no table"),
        *[
            pytest.param(
                f'[backends.lab]\nurl = "{url}"',
                ": backends.lab.url is wrong: it must be a base URL like http://127.0.0.1:8000/v1, without name and password.",
                id=url,
            )
            for url in ("lab:8000", "ftp://lab", "http://", f"http://user:{SECRET}@lab/v1", f"http://lab/v1?key={SECRET}")
        ],
        pytest.param(
            '[backends.default]\nurl = "http://lab/v1"',
            ": backends.default has the name of the server in OPENAI_API_BASE_URL: give it another one.",
            id="the name of the first back end",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(path: Path, text: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(path, text)
    sentence = str(caught.value)
    assert sentence == f"MODELS_FILE {path}{complaint}"
    assert SECRET not in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[models", "end of document"),
        ("[models.a]\n[models.a]", "line 2"),
        (f"[backends.a]\napi_key = '{SECRET}", "end of document"),
    ],
)
def test_what_is_no_toml_is_told_where(path: Path, text: str, where: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(path, text)
    sentence = str(caught.value)
    assert sentence.startswith(f"MODELS_FILE {path} is no TOML: ")
    assert where in sentence
    assert SECRET not in sentence


@pytest.mark.parametrize(
    ("head", "hint"),
    [
        ("[models.qwen3:8b]", '; write the name in quotes: [models."qwen3:8b"].'),
        ("  [models.Qwen/Qwen3-8B ]", '; write the name in quotes: [models."Qwen/Qwen3-8B"].'),
        ("[models.qwen3:8b.options]", '; write the name in quotes: [models."qwen3:8b".options].'),
        ("[models.claude-*]", '; write the name in quotes: [models."claude-*"].'),
        ("[backends.gpu:1]", '; write the name in quotes: [backends."gpu:1"].'),
        ("[models.a] b", "."),
        ('[models."a:b"] c', "."),
        ("a:b = 1", "."),
    ],
)
def test_a_name_that_needs_quotes_is_told_so(path: Path, head: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(path, f"# a comment\n{head}\ntarget = 'x'\n")
    assert "line 2" in str(caught.value)
    assert str(caught.value).endswith(f"){hint}")


def test_a_wrong_profile_is_told_the_right_ones(path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(path, f"{LAB}profile = 'x'")
    assert str(caught.value).startswith(f"MODELS_FILE {path}: backends.lab.profile is wrong: input should be ")


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"^MODELS_FILE \S+ cannot be read \([\w ]+\): correct the path\.$") as caught:
        load_models_file(tmp_path / name)
    assert str(tmp_path) in str(caught.value)


def test_a_file_in_another_encoding_is_no_toml(path: Path) -> None:
    path.write_bytes("# für".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"is no TOML: 'utf-8' codec can't decode byte 0xfc"):
        load_models_file(path)
