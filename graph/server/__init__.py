"""The HTTP server: threads, turns as streams of events, and OpenAI's chat completions."""
