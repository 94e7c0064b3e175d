"""What the start of the console command does not import."""

import subprocess
import sys

STARTS = (
    "from ollama_openai_proxy.net.lazy_packages import make_lazy\nmake_lazy('uvicorn')\n"
    "from ollama_openai_proxy import asgi, cli\nfrom ollama_openai_proxy.net import event_loop, listening, server"
)


def imported_by(program: str) -> set[str]:
    """The modules that a new interpreter has after a program."""
    printed = f"{program}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", printed], check=True, capture_output=True, text=True).stdout.split())


def test_the_start_does_not_import_what_it_does_not_need() -> None:
    needless = {"mitmproxy", "openai.types", "httpx2._client", "limits", "h11", "uvicorn.main", "click"}
    found = imported_by(STARTS)
    assert "ollama_openai_proxy.net.server" in found
    assert needless & found == set()


def test_the_sdk_is_imported_with_its_first_use() -> None:
    program = (
        "import sys\nfrom ollama_openai_proxy.backend.lazy_sdk import load\nload()\nsys.exit('openai.types' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_of_the_sdk_only_those_types_are_imported_that_its_code_needs() -> None:
    program = (
        "import sys\nfrom ollama_openai_proxy.backend.lazy_sdk import load\nload()\n"
        "few = len([name for name in sys.modules if name.startswith('openai.types.responses')])\n"
        "import openai\nassert openai.types.responses.Response and openai.types.chat.ChatCompletion\n"
        "from openai.types.responses import ResponseUsage\nsys.exit(few > 10)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_lazy_package_is_not_loaded_for_a_name_of_which_the_module_is_known() -> None:
    program = (
        "from ollama_openai_proxy.net.lazy_packages import make_lazy\n"
        "make_lazy('uvicorn', parts={'Config': 'uvicorn.config'})\n"
        "import sys\nfrom uvicorn import Config\nfrom uvicorn.lifespan.off import LifespanOff\n"
        "from uvicorn.config import Config as wanted\nassert Config is wanted\nsys.exit('click' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_lazy_package_is_whole_once_it_is_asked() -> None:
    program = (
        "from ollama_openai_proxy.net.lazy_packages import make_lazy\nmake_lazy('uvicorn')\nimport sys\n"
        "import uvicorn.config\nassert 'uvicorn.main' not in sys.modules\nassert not hasattr(uvicorn, '__nothing__')\n"
        "from uvicorn import __version__, run\nmake_lazy('uvicorn')\nassert uvicorn.run is run\nmake_lazy('no_such_package')"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_supervisor_does_not_import_what_only_workers_need() -> None:
    found = imported_by(
        "from ollama_openai_proxy.cli import _parser\n_parser().parse_args([])\n"
        "from ollama_openai_proxy.workers import supervisor"
    )
    assert "ollama_openai_proxy.workers.supervisor" in found
    heavy = {"asyncio", "logging", "pydantic", "dataclasses", "uvicorn"}
    if sys.version_info >= (3, 14):
        heavy.remove("dataclasses")  # for the colours of argparse
    assert heavy & found == set()
