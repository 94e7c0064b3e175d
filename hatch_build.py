"""Gives the distribution the addresses of the repository that builds it.

The project is published from whichever repository its maintainers have; `PROJECT_URL` is that repository's address, and the
release workflow sets it. A build without it has no addresses, rather than wrong ones.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ProjectUrls(MetadataHookInterface):
    """Adds the `urls` of the project's metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the URLs, if `PROJECT_URL` is set."""
        if url := os.environ.get("PROJECT_URL", "").rstrip("/"):
            metadata["urls"] = {
                "Source": url,
                "Documentation": f"{url}#readme",
                "Changelog": f"{url}/blob/main/CHANGELOG.md",
                "Issues": f"{url}/issues",
                "Security": f"{url}/security",
            }
