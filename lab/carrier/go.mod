module github.com/voiceagents/voiceagents/lab/carrier

go 1.26
