"""Models that guess the client's next calls: how they are asked, and within which bounds.

Words
    speculator   a model as the configuration names it, `[predictors.NAME]`
    question     one request to one speculator, about the next call, a running call or the user's next message
    API          how a kind of server is spoken to: OpenAI's Responses or Chat Completions, Anthropic's Messages
    exchange     what was sent for a question and what came back, without credentials

The way of one question
    panel        takes it from the relay's thread, in which nothing here ever runs, and gives back what came of it
    speculator   holds it to its bounds: tokens a minute, questions at once, time, and the circuit breaker
    openai_*,    put it into the API's form and send it by the vendor's own library, which is imported when a
    anthropic_*  speculator is configured and at no other time
    schemas      lets no guess through that its tool's schema does not take

A speculator only ever guesses: what may be called is for the engine to decide.
"""
