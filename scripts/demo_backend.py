"""Serve an OpenAI-compatible API from a tiny model trained by heart, with a real llama.cpp server.

The contract with whoever starts it:

* stdout carries one line, ``READY http://127.0.0.1:PORT/v1``, once the API answers; nothing else is ever written there.
* stderr carries nothing but the sentence that says why a start failed.
* SIGTERM and SIGINT end it at once with status 0, whatever is being generated. It also ends when the process that
  started it is gone. A failed start ends with status 1, a wrong argument with 2.
"""

import argparse
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

MODEL = Path(__file__).resolve().parent / "demo_model" / "demo.gguf"
TRAINED_CONTEXT = 2048
"""llama.cpp cuts a slot's context down to the length that the model file claims to be trained for."""

_READY_SECONDS = 30.0
_PARENT_POLL_SECONDS = 0.25


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo_backend.py",
        description="Serve an OpenAI-compatible API from a tiny model, with llama.cpp. Prints one line, "
        "'READY http://127.0.0.1:PORT/v1', when it answers. Ends on SIGTERM, SIGINT, or when its parent process is gone.",
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 picks a free one (default)")
    parser.add_argument("--embeddings", action="store_true", help="serve embeddings instead of chat")
    parser.add_argument("--alias", help="the model's name (default demo, or demo-embed with --embeddings)")
    parser.add_argument("--api-key", help="answer 401 to requests without this key")
    parser.add_argument("--context", type=int, default=2048, help="tokens of context per slot (default %(default)s)")
    parser.add_argument("--parallel", type=int, default=4, help="slots: requests served at once (default %(default)s)")
    parser.add_argument("--model", type=Path, default=MODEL, help="the model's file (default scripts/demo_model/demo.gguf)")
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.port <= 65535:
        parser.error("--port must be between 0 and 65535")
    if not 1 <= arguments.context <= TRAINED_CONTEXT:
        parser.error(f"--context must be between 1 and {TRAINED_CONTEXT}")
    if arguments.parallel < 1:
        parser.error("--parallel must be at least 1")
    arguments.alias = arguments.alias or ("demo-embed" if arguments.embeddings else "demo")
    return arguments


def _start(arguments: argparse.Namespace) -> tuple[object, str]:
    """Start the server; return it, since it lives only as long as it is referenced, and its address."""
    import xllamacpp  # type: ignore[import-untyped]

    if not arguments.model.is_file():
        raise FileNotFoundError(f"there is no file {arguments.model}")
    params = xllamacpp.CommonParams()
    params.model.path = str(arguments.model)
    params.model_alias = {arguments.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = arguments.port
    params.api_keys = [arguments.api_key] if arguments.api_key else []
    params.n_parallel = arguments.parallel
    params.n_ctx = arguments.context * arguments.parallel
    params.verbosity = 1
    params.ui = False
    params.warmup = False
    params.fit_params = False
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0
    # One thread that sleeps while idle: more would only take time from the programs that use this server.
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = 1
        threads.poll = 0
    # Answers known by heart are the most likely ones. A client's own temperature comes before this default.
    params.sampling.temp = 0
    # As with Ollama's small models, it thinks only for a client that asks for thinking.
    params.default_template_kwargs = {"enable_thinking": "false"}
    if arguments.embeddings:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        # A pooled text must fit one physical batch.
        params.n_batch = params.n_ubatch = max(arguments.context, 512)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        hint = f" (is port {arguments.port} in use?)" if arguments.port else ""
        raise RuntimeError(f"{error}{hint}") from error
    return server, str(server.listening_address)


def _wait_until_ready(base_url: str, api_key: str | None) -> None:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    request = urllib.request.Request(f"{base_url}/models", headers=headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # HTTP_PROXY is not meant for this
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            direct.open(request, timeout=5).close()
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{base_url} does not answer: {error}") from error
            time.sleep(0.02)
        else:
            return


def main(argv: list[str] | None = None) -> int:
    """Run the demo back end until it is told to stop or its parent process is gone."""
    parent = os.getppid()
    arguments = _arguments(argv)
    # A generation that is under way holds up an orderly shutdown, and nothing here needs one.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

    # llama.cpp writes to the descriptors themselves: keep the real ones and give it others.
    answer = os.fdopen(os.dup(1), "w")
    complaint = os.fdopen(os.dup(2), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)

    try:
        _server, address = _start(arguments)
        _wait_until_ready(f"{address}/v1", arguments.api_key)
    except ImportError as error:
        print(f"The demo back end lacks a package ({error}): run scripts/setup first.", file=complaint, flush=True)
        os._exit(1)
    except Exception as error:
        print(f"The demo back end did not start: {error}", file=complaint, flush=True)
        os._exit(1)
    print(f"READY {address}/v1", file=answer, flush=True)
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
