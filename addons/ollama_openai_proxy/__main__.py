"""`python -m ollama_openai_proxy` is the console command."""

from __future__ import annotations

import signal


def main() -> int:
    """Run the console command. While its modules are imported, SIGINT ends the process at once and without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli import main as run

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
