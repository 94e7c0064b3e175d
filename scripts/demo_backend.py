"""Serve an OpenAI-compatible API from a tiny model with random weights: real llama.cpp, nonsense text.

The contract with whoever starts it:

* stdout carries one line, ``READY http://HOST:PORT/v1``, once the API answers; nothing else is ever written there.
* stderr carries llama.cpp's log with ``--verbose``, and otherwise only the sentence that says why a start failed.
* SIGTERM and SIGINT end it at once with status 0, whatever is being generated. It also ends when the process that
  started it is gone. A failed start ends with status 1, a wrong argument with 2.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

MODEL_VERSION = 1
"""Part of the model's file name: raise it with every change to what `write_model` writes."""

TRAINED_CONTEXT = 32768
"""llama.cpp cuts a slot's context down to the length that the model file claims to be trained for."""

_WIDTH = 64
_FEED_FORWARD = 128
_HEADS = 4
_LAYERS = 2
_ROPE_BASE = 10000.0
_NORM_EPSILON = 1e-5

_UNKNOWN, _BEGIN, _END = 0, 1, 2

# Letter pairs and endings let a prompt's words take fewer tokens than letters; the words are what an answer is made of.
_FRAGMENTS = "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de the ing"
_WORDS = (
    "the of and to in a is that it was for on are with as be this have from or one had by word but not what all were "
    "we when your can said there use an each which she do how their if will up other about out many then them these "
    "so some her would make like him into time has look two more write go see number no way could people my than first "
    "water been call who now find long down day did get come made may part river garden window quiet paper seven"
)
_PAUSES = (", and", ", but", ". The", ". It", ". A", "; so")

# The log-odds that steer sampling, relative to an ordinary word. An answer is some sixty words; a quotation mark is
# likely enough to close a JSON string, and brackets close more readily than a comma goes on, so that grammars end.
_BIAS_END = 1.0
_BIAS_PAUSE = 0.6
_BIAS_FRAGMENT = -5.0
_BIAS_NEVER = -40.0
# White space, escapes and exponents are legal in JSON but would make it ugly, or its numbers enormous.
_BIAS_BYTES = {'"': 1.0, "}": -4.0, "]": -4.0, ",": -6.0} | dict.fromkeys(" \n\t\\eE", -14.0)
_BIAS_PRINTABLE = -8.0

_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content or '' }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)

_READY_SECONDS = 30.0
_PARENT_POLL_SECONDS = 0.25


def _vocabulary() -> tuple[list[bytes], list[int], list[float]]:
    """Return tokens, their GGUF types, and the log-odds with which each is generated."""
    from gguf import TokenType

    tokens = [b"<unk>", b"<s>", b"</s>"]
    types = [int(TokenType.UNKNOWN), int(TokenType.CONTROL), int(TokenType.CONTROL)]
    biases = [_BIAS_NEVER, _BIAS_NEVER, _BIAS_END]
    for byte in range(256):
        character = chr(byte)
        default = _BIAS_PRINTABLE if 0x20 < byte < 0x7F else _BIAS_NEVER
        tokens.append(f"<0x{byte:02X}>".encode())
        types.append(int(TokenType.BYTE))
        biases.append(_BIAS_BYTES.get(character, default))
    pieces = dict.fromkeys(_FRAGMENTS.split(), _BIAS_FRAGMENT)
    pieces.update(dict.fromkeys((f" {word}" for word in _WORDS.split()), 0.0))
    pieces.update(dict.fromkeys(_PAUSES, _BIAS_PAUSE))
    for piece, bias in pieces.items():
        tokens.append(piece.replace(" ", "\u2581").encode())  # SentencePiece writes a space as U+2581
        types.append(int(TokenType.NORMAL))
        biases.append(bias)
    return tokens, types, biases


def write_model(path: Path, *, seed: int = 20240229, context_length: int = TRAINED_CONTEXT) -> None:
    """Write a GGUF model of about 0.5 MB with random weights; `path` is either complete or untouched.

    The weights are random but for one channel of the hidden state, which every token sets alike and no layer changes.
    It acts as the bias that llama's output layer lacks: without one, a sixth of the tokens would be lone UTF-8 bytes.
    """
    import numpy as np
    from gguf import GGUFWriter

    type Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

    tokens, types, biases = _vocabulary()
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, deviation: float) -> Matrix:
        return (random.standard_normal((rows, columns)) * deviation).astype(np.float32)

    def into_residual(columns: int) -> Matrix:
        weights = matrix(_WIDTH, columns, 0.6 / columns**0.5)
        weights[0] = 0.0
        return weights

    constant = 4.0
    embedding = matrix(len(tokens), _WIDTH, 1.0)
    embedding[:, 0] = constant
    output = matrix(len(tokens), _WIDTH, 1.5 / _WIDTH**0.5)
    output[:, 0] = np.array(biases, np.float32) / (constant / (1 + constant**2 / _WIDTH) ** 0.5)

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    unfinished = Path(name)
    try:
        writer = GGUFWriter(unfinished, "llama")
        writer.add_name("Demo (random weights)")
        writer.add_context_length(context_length)
        writer.add_embedding_length(_WIDTH)
        writer.add_feed_forward_length(_FEED_FORWARD)
        writer.add_block_count(_LAYERS)
        writer.add_head_count(_HEADS)
        writer.add_head_count_kv(_HEADS)
        writer.add_rope_dimension_count(_WIDTH // _HEADS)
        writer.add_rope_freq_base(_ROPE_BASE)
        writer.add_layer_norm_rms_eps(_NORM_EPSILON)
        writer.add_vocab_size(len(tokens))
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([float(-index) for index in range(len(tokens))])
        writer.add_token_types(types)
        writer.add_unk_token_id(_UNKNOWN)
        writer.add_bos_token_id(_BEGIN)
        writer.add_eos_token_id(_END)
        writer.add_add_bos_token(True)
        writer.add_add_space_prefix(False)
        writer.add_chat_template(_CHAT_TEMPLATE)
        writer.add_tensor("token_embd.weight", embedding)
        writer.add_tensor("output_norm.weight", np.ones(_WIDTH, np.float32))
        writer.add_tensor("output.weight", output)
        for layer in range(_LAYERS):
            block = f"blk.{layer}"
            writer.add_tensor(f"{block}.attn_norm.weight", np.ones(_WIDTH, np.float32))
            for projection in ("attn_q", "attn_k", "attn_v"):
                writer.add_tensor(f"{block}.{projection}.weight", matrix(_WIDTH, _WIDTH, _WIDTH**-0.5))
            writer.add_tensor(f"{block}.attn_output.weight", into_residual(_WIDTH))
            writer.add_tensor(f"{block}.ffn_norm.weight", np.ones(_WIDTH, np.float32))
            writer.add_tensor(f"{block}.ffn_gate.weight", matrix(_FEED_FORWARD, _WIDTH, _WIDTH**-0.5))
            writer.add_tensor(f"{block}.ffn_up.weight", matrix(_FEED_FORWARD, _WIDTH, _WIDTH**-0.5))
            writer.add_tensor(f"{block}.ffn_down.weight", into_residual(_FEED_FORWARD))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        unfinished.chmod(0o644)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def cached_model(folder: Path) -> Path:
    """Return the model's file in `folder`, written now if this version of it is not there yet."""
    path = folder / f"demo-{MODEL_VERSION}.gguf"
    if not path.exists():
        write_model(path)
    return path


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    repository = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(
        prog="demo_backend.py",
        description="Serve an OpenAI-compatible API from a tiny llama.cpp model with random weights. Prints one line, "
        "'READY http://HOST:PORT/v1', when it answers. Ends on SIGTERM, SIGINT, or when its parent process is gone.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 picks a free one (default)")
    parser.add_argument("--embeddings", action="store_true", help="serve embeddings instead of chat")
    parser.add_argument("--alias", help="the model's name (default demo, or demo-embed with --embeddings)")
    parser.add_argument("--api-key", help="answer 401 to requests without this key")
    parser.add_argument("--context", type=int, default=2048, help="tokens of context per slot (default %(default)s)")
    parser.add_argument("--parallel", type=int, default=4, help="slots: requests served at once (default %(default)s)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=repository / ".cache" / "demo",
        help="folder of the model's file (default .cache/demo in the repository)",
    )
    parser.add_argument("--verbose", action="store_true", help="show llama.cpp's log on stderr")
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.port <= 65535:
        parser.error("--port must be between 0 and 65535")
    if not 1 <= arguments.context <= TRAINED_CONTEXT:
        parser.error(f"--context must be between 1 and {TRAINED_CONTEXT}")
    if arguments.parallel < 1:
        parser.error("--parallel must be at least 1")
    arguments.alias = arguments.alias or ("demo-embed" if arguments.embeddings else "demo")
    return arguments


def _start(arguments: argparse.Namespace, model: Path) -> tuple[object, str]:
    """Start the server; return it, since it lives only as long as it is referenced, and its address."""
    import xllamacpp  # type: ignore[import-untyped]

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {arguments.alias}
    params.hostnames = [arguments.host]
    params.port = arguments.port
    params.api_keys = [arguments.api_key] if arguments.api_key else []
    params.n_parallel = arguments.parallel
    params.n_ctx = arguments.context * arguments.parallel
    params.verbosity = 3 if arguments.verbose else 1
    params.ui = False
    params.warmup = False
    params.fit_params = False
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0
    # One thread that sleeps while idle: more would only take time from the programs that use this server.
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = 1
        threads.poll = 0
    # Cutting the tail off would remove the tokens that end an answer or a JSON string.
    params.sampling.top_k = 0
    params.sampling.top_p = 1.0
    params.sampling.min_p = 0.0
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

    # llama.cpp writes to the descriptors themselves: keep the real ones for us and give it others.
    answer = os.fdopen(os.dup(1), "w")
    complaint = os.fdopen(os.dup(2), "w")
    if not arguments.verbose:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
    os.dup2(2, 1)

    try:
        _server, address = _start(arguments, cached_model(arguments.cache))
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
