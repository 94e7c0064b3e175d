"""Writers: from the neutral events of an answer to the bytes of one client API, streamed or whole."""
