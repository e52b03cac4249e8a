"""How did the tables become what they are? One file a step in `versions/`; `voiceagents.schema` runs them."""
