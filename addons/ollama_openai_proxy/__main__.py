"""`python -m ollama_openai_proxy` is the console command."""

from .cli import main

raise SystemExit(main())
