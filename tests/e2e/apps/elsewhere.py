"""A page of another origin than its stream's, under a policy that lets nothing pass unnamed.

``ELSEWHERE_STREAM`` is the stream's URL; the page comes to it from here.
"""

import os

from fastapi import FastAPI, Response

STREAM = os.environ["ELSEWHERE_STREAM"]
SOCKET = STREAM.replace("http", "ws", 1)
POLICY = f"default-src 'none'; script-src 'self' {STREAM}; connect-src {STREAM} {SOCKET}"
SCRIPT = f"""
import {{ Client }} from "{STREAM}/client/fastrtc.js";
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(event.violatedDirective + " " + event.blockedURI));
window.Client = Client;
"""

app = FastAPI()


@app.get("/")
def page() -> Response:
    """No script inside, as the policy wants it."""
    body = '<!doctype html><script type="module" src="page.js"></script>'
    return Response(body, media_type="text/html", headers={"Content-Security-Policy": f"{POLICY};"})


@app.get("/page.js")
def script() -> Response:
    """The page's own."""
    return Response(SCRIPT, media_type="text/javascript")
