"""Three handlers on one Gradio page: ``python examples/demo/app.py [--host HOST] [--port PORT]``.

Each tab is a stream's own page (``stream.ui``) with the handler's source below it. Nothing is
downloaded, and no key is needed.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

import camera
import echo
import gradio as gr

from fastrtc import Stream

HERE = Path(__file__).parent
TALK = HERE.parent / "talk"
sys.path.append(str(TALK))
talk = import_module("handler")
PHRASES = (
    "*What time is it?* · *Count to five.* · *Roll two dice.* · *What day is it?* · "
    "*Repeat after me: good morning, London.* · *Stop.*"
)
chat = gr.Chatbot(label="What was said", height=230, placeholder="Nothing was said yet.")


def write(history, heard, said):
    """Called for each reply; returns what the chat shows from now on."""
    return [
        *history,
        {"role": "user", "content": heard or "(not understood)"},
        {"role": "assistant", "content": said},
    ]


conversation = Stream(
    talk.handler,
    modality="audio",
    mode="send-receive",
    concurrency_limit=20,
    additional_outputs=[chat],
    additional_outputs_handler=write,
    ui_args={
        "title": "Talk to a Python function",
        "subtitle": f"Press Start, then ask. Speak while it speaks, and it stops. Try: {PHRASES}",
    },
)
TABS = {
    "Conversation": (conversation, TALK / "handler.py"),
    "Echo": (echo.stream, HERE / "echo.py"),
    "Camera": (camera.stream, HERE / "camera.py"),
}

with gr.Blocks(title="fastrtc") as demo, gr.Tabs():
    for name, (stream, source) in TABS.items():
        with gr.Tab(name), gr.Row():
            with gr.Column(scale=3, min_width=320):
                stream.ui.render()
            with gr.Column(scale=2, min_width=320):
                gr.Code(source.read_text(), language="python", label="The handler, as it runs")


def main() -> None:
    """Serves the page until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serves a page with three handlers on it.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on")
    options = parser.parse_args()
    shown = "localhost" if options.host in ("127.0.0.1", "0.0.0.0", "::") else options.host
    print(f"Open http://{shown}:{options.port} and press Start. Ctrl-C ends.", flush=True)
    demo.launch(
        server_name=options.host,
        server_port=options.port,
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        footer_links=[],
        quiet=True,
    )


if __name__ == "__main__":
    main()
