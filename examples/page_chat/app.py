"""A conversation with its words on the page. Offline: PocketSphinx hears digits, eSpeak answers."""

import gradio as gr

from fastrtc import AdditionalOutputs, ReplyOnPause, Stream, get_stt_model, get_tts_model

DIGITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
ears = get_stt_model("pocketsphinx", words=DIGITS)
voice = get_tts_model("espeak")


def reply(audio, history):
    """Called when the speaker pauses, with what was said and with the chat as it is."""
    heard = ears.stt(audio)
    digits = [DIGITS.index(word) + 1 for word in heard.split() if word in DIGITS]
    said = f"That makes {sum(digits)}." if digits else "Say some numbers up to ten."
    history = [
        *history,
        {"role": "user", "content": heard or "(not understood)"},
        {"role": "assistant", "content": said},
    ]
    yield AdditionalOutputs(history)
    yield from voice.stream_tts_sync(said)


chat = gr.Chatbot(label="Sums")
stream = Stream(
    ReplyOnPause(reply),
    modality="audio",
    mode="send-receive",
    concurrency_limit=4,
    additional_inputs=[chat],
    additional_outputs=[chat],
    additional_outputs_handler=lambda old, new: new,
    ui_args={"title": "Say numbers, hear their sum"},
)

if __name__ == "__main__":
    stream.ui.launch()
