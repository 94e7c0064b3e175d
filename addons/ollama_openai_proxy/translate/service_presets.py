"""What is known in advance of each hosted service: its base URL, its profile, and the usual variable with its key.

A URL may hold a variable of the environment in braces, which only the owner of an account knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .server_profiles import ProfileName

_VARIABLE = re.compile(r"\{([A-Z_]+)\}")


@dataclass(frozen=True, slots=True)
class Preset:
    """A hosted service.

    Attributes:
        profile: the service's profile, whose name is the preset's name, too.
        url: the base URL of the service's API; `{NAME}` stands for a variable of the environment.
        key_variable: the variable of the environment that usually holds the key.
        source: where URL and variable are documented.
    """

    profile: ProfileName
    url: str
    key_variable: str
    source: str

    @property
    def variables(self) -> list[str]:
        """The variables of the environment that the URL needs."""
        return _VARIABLE.findall(self.url)

    def filled_url(self, variable: Callable[[str], str | None]) -> str:
        """Return the base URL; `variable` returns the value of a variable of the environment."""
        return _VARIABLE.sub(lambda found: (variable(found[1]) or "").rstrip("/"), self.url)


PRESETS: dict[str, Preset] = {
    preset.profile: preset
    for preset in (
        Preset("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "https://platform.openai.com/docs/api-reference"),
        Preset(
            "azure",
            "{AZURE_OPENAI_ENDPOINT}/openai/v1",
            "AZURE_OPENAI_API_KEY",
            "https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
        ),
        Preset("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "https://openrouter.ai/docs/quickstart"),
        Preset("ollama", "https://ollama.com/v1", "OLLAMA_API_KEY", "https://docs.ollama.com/cloud"),
        Preset("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "https://console.groq.com/docs/openai"),
        Preset("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "https://docs.mistral.ai/api"),
        Preset("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "https://api-docs.deepseek.com"),
        Preset(
            "together",
            "https://api.together.xyz/v1",
            "TOGETHER_API_KEY",
            "https://docs.together.ai/docs/openai-api-compatibility",
        ),
        Preset(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "GEMINI_API_KEY",
            "https://ai.google.dev/gemini-api/docs/openai",
        ),
        Preset("xai", "https://api.x.ai/v1", "XAI_API_KEY", "https://docs.x.ai/docs/api-reference"),
        Preset(
            "moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "https://platform.kimi.ai/docs/api/models-overview"
        ),
        Preset(
            "dashscope",
            "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            "DASHSCOPE_API_KEY",
            "https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
        ),
        Preset("zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "https://docs.z.ai/guides/develop/openai/python"),
        Preset(
            "minimax",
            "https://api.minimax.io/v1",
            "MINIMAX_API_KEY",
            "https://platform.minimax.io/docs/api-reference/text-openai-api",
        ),
        Preset(
            "fireworks",
            "https://api.fireworks.ai/inference/v1",
            "FIREWORKS_API_KEY",
            "https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        ),
        Preset(
            "cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "https://inference-docs.cerebras.ai/resources/openai"
        ),
        Preset(
            "nvidia",
            "https://integrate.api.nvidia.com/v1",
            "NVIDIA_API_KEY",
            "https://docs.api.nvidia.com/nim/reference/llm-apis",
        ),
        Preset(
            "perplexity",
            "https://api.perplexity.ai",
            "PERPLEXITY_API_KEY",
            "https://docs.perplexity.ai/guides/chat-completions-guide",
        ),
        Preset(
            "sambanova",
            "https://api.sambanova.ai/v1",
            "SAMBANOVA_API_KEY",
            "https://docs.sambanova.ai/docs/en/features/openai-compatibility",
        ),
        Preset(
            "github", "https://models.github.ai/inference", "GITHUB_TOKEN", "https://docs.github.com/en/rest/models/inference"
        ),
        Preset(
            "cloudflare",
            "https://api.cloudflare.com/client/v4/accounts/{CLOUDFLARE_ACCOUNT_ID}/ai/v1",
            "CLOUDFLARE_API_KEY",
            "https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility",
        ),
        Preset(
            "bedrock",
            "https://bedrock-runtime.{AWS_REGION}.amazonaws.com/openai/v1",
            "AWS_BEARER_TOKEN_BEDROCK",
            "https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions.html",
        ),
    )
}
