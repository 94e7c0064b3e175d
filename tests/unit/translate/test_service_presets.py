"""Presets name a profile that exists, and fill variables into their URLs."""

import pytest
from ollama_openai_proxy.translate.server_profiles import PROFILES, detect_profile
from ollama_openai_proxy.translate.service_presets import PRESETS, Preset


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_a_presets_url_is_one_of_its_profile(preset: Preset) -> None:
    values = {"AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/", "AWS_REGION": "eu-west-1"}
    url = preset.filled_url(lambda name: values.get(name, "value"))
    assert url.startswith("https://")
    assert "//" not in url.removeprefix("https://")
    assert "{" not in url
    assert detect_profile(url, []) is PROFILES[preset.profile]
    assert preset.source.startswith("https://")


def test_the_variables_of_a_url_are_known() -> None:
    assert PRESETS["cloudflare"].variables == ["CLOUDFLARE_ACCOUNT_ID"]
    assert PRESETS["groq"].variables == []
    assert PRESETS["cloudflare"].filled_url(lambda _: None).endswith("/accounts//ai/v1")
