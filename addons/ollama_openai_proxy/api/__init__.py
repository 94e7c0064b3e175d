"""The APIs that clients speak: where a path leads, how errors and silence look in each of them."""
