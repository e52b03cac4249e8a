"""What speaks and listens when no OpenAI-compatible server is configured?

A server on loopback with the same HTTP contract, built on models that ship in packages. Its three model ids are named
for what they are, so that no log or bill mistakes them for something bigger; the chat "model" is a set of rules, not
a model.
"""

CHAT_MODEL = "script-follower"
VOICE_MODEL = "hibari"
TRANSCRIPTION_MODEL = "tiny.en"

NOTICE = (
    "This is the offline voice: hibari speaks, whisper tiny.en listens, and the chat endpoint is a script-follower "
    "(fixed rules, not a language model). Set OPENAI_API_KEY or OPENAI_BASE_URL for a real one."
)
