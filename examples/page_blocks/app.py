"""A page of one's own with the component in it: talk or type, be answered in sound and text."""

import gradio as gr

from fastrtc import AdditionalOutputs, ReplyOnPause, WebRTC, get_tts_model

voice = get_tts_model("espeak")


def reply(message, politeness):
    """``message.textbox`` is what was typed, ``message.audio`` what was said."""
    typed = message.textbox
    said = f"You wrote {len(typed)} letters." if typed else "I cannot hear, please type."
    if politeness == "polite":
        said = f"Thank you. {said}"
    yield AdditionalOutputs(typed or "(spoken)", said)
    yield from voice.stream_tts_sync(said)


def add_turn(history, typed, said):
    """Called for each ``AdditionalOutputs``; returns what the chat shows from now on."""
    return [
        *history,
        {"role": "user", "content": typed},
        {"role": "assistant", "content": said},
    ]


with gr.Blocks(title="Talk or type") as demo:
    gr.Markdown("# Talk or type")
    history = gr.Chatbot(label="Conversation")
    politeness = gr.Radio(["plain", "polite"], value="plain", label="Answers")
    webrtc = WebRTC(label="You", modality="audio", mode="send-receive", variant="textbox")
    webrtc.stream(ReplyOnPause(reply), inputs=[webrtc, politeness], outputs=[webrtc])
    webrtc.on_additional_outputs(add_turn, inputs=[history], outputs=[history])

if __name__ == "__main__":
    demo.launch()
