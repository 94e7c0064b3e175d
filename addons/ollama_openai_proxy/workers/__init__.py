"""Several processes that serve one port: a supervisor, its workers, and what the workers share through the supervisor."""
