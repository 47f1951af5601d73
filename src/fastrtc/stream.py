"""``Stream``: what users configure. It checks, remembers and delegates; it does nothing itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from dataclasses import replace
from types import EllipsisType
from typing import Any, Literal, cast

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from fastrtc.errors import MissingExtension
from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.outputs import AdditionalOutputs
from fastrtc.server.auth import authorise
from fastrtc.server.checks import MODALITIES, MODES, check_limit, check_one_of
from fastrtc.server.client_files import add_client_routes
from fastrtc.server.core import Core
from fastrtc.server.hosting import HostWarning
from fastrtc.server.lifespan import with_lifespan
from fastrtc.server.offers import Offers, ServerConfiguration, resolve
from fastrtc.server.routes import answer_offer, make_router
from fastrtc.server.schemas import Body
from fastrtc.server.sockets import SocketDoors
from fastrtc.server.whip import add_whip_routes
from fastrtc.session.registry import Connections, Handlers, Sessions
from fastrtc.session.session import RECONNECT_TIMEOUT_S
from fastrtc.telephony.guard import TelephoneGuard
from fastrtc.telephony.incoming import answer_incoming
from fastrtc.types import Modality, RTCConfiguration, StreamMode, UIArgs
from fastrtc.ui import require_gradio
from fastrtc.wire.messages import create_message

__all__ = ["Body", "Stream", "UIArgs"]

NO_REQUEST = cast(Request, None)
"""FastAPI injects a request only into parameters of exactly that type."""
ONE_WAY: dict[Literal["whip", "whep"], StreamMode] = {"whip": "send", "whep": "receive"}


class Stream:
    """A handler that clients can connect to.

    Args:
        handler: for video a function ``f(frame, *inputs)``, or a :class:`VideoStreamHandler`
            around one; for audio a :class:`StreamHandler`, an :class:`AsyncStreamHandler` or a
            function ``f((rate, samples), *inputs)``; for both, in mode "receive", a generator
            function ``f(*inputs)``; for audio-video an :class:`AudioVideoStreamHandler` or an
            :class:`AsyncAudioVideoStreamHandler`.
        additional_outputs_handler: for a page: takes the components' values and the arguments of
            ``AdditionalOutputs``, returns the components' new values.
        mode: named from the client: "send" is client to server.
        modality: "video", "audio" or "audio-video".
        concurrency_limit: connections at once; "default" is 1, None is no limit.
        time_limit: seconds that a connection may be live.
        allow_extra_tracks: accept offers with media that the stream does not serve.
        rtp_params: RTP sending parameters: {"maxBitrate": bits per second}.
        rtc_configuration: the ``RTCConfiguration`` that browsers get; a dict, or a sync or async
            callable that returns one.
        server_rtc_configuration: STUN and TURN servers for our own side, in the same form; a
            callable is asked for each connection.
        track_constraints: for a page's microphone and camera.
        additional_inputs: components whose values the handler gets after its first argument.
        additional_outputs: components that ``AdditionalOutputs`` change.
        ui_args: how a page looks.
        verbose: whether mounting is logged.
        authorize: called with each request or WebSocket before anything else; a falsy result, or
            ``fastapi.HTTPException``, refuses; the result is
            ``get_current_context().principal``. Sync or async.
        reconnect_timeout_s: how long a client that is not heard keeps its session.
        allowed_origins: pages that may open a WebSocket, such as "https://a.com"; None for any.
        shared: for mode "receive": the handler runs once and is encoded once, whoever watches
            sees the same, from the first viewer to the last. Over WebRTC, by WHEP or an offer.

    Raises:
        ValueError: the arguments do not fit together; the message says what is allowed.

    Example::

        stream = Stream(ReplyToVoice(), modality="audio", concurrency_limit=10)
        stream.mount(app)
    """

    def __init__(
        self,
        handler: StreamHandlerBase | Callable[..., Any] | EllipsisType,
        *,
        additional_outputs_handler: Callable[..., Any] | None = None,
        mode: StreamMode = "send-receive",
        modality: Modality = "video",
        concurrency_limit: int | Literal["default"] | None = "default",
        time_limit: float | None = None,
        allow_extra_tracks: bool = False,
        rtp_params: dict[str, Any] | None = None,
        rtc_configuration: RTCConfiguration | None = None,
        server_rtc_configuration: ServerConfiguration = None,
        track_constraints: dict[str, Any] | None = None,
        additional_inputs: list[Any] | None = None,
        additional_outputs: list[Any] | None = None,
        ui_args: UIArgs | None = None,
        verbose: bool = True,
        authorize: Callable[[Any], Any] | None = None,
        reconnect_timeout_s: float = RECONNECT_TIMEOUT_S,
        allowed_origins: Collection[str] | None = None,
        shared: bool = False,
    ) -> None:
        check_one_of("mode", mode, MODES)
        check_one_of("modality", modality, MODALITIES)
        if additional_outputs and additional_outputs_handler is None:
            raise ValueError(
                "additional_outputs need an additional_outputs_handler: a function of the "
                "components' values and the outputs' arguments that returns the new values"
            )
        if isinstance(allowed_origins, str):
            raise ValueError(f"allowed_origins is text; write [{allowed_origins!r}]")
        if time_limit is not None and not time_limit > 0:
            raise ValueError(f"time_limit is {time_limit}; it has to be positive seconds, or None")
        self.mode: StreamMode = mode
        self.modality: Modality = modality
        self.event_handler = handler
        self.concurrency_limit = check_limit(concurrency_limit)
        self.time_limit = time_limit
        self.allow_extra_tracks = allow_extra_tracks
        self.rtp_params = rtp_params
        self.rtc_configuration = rtc_configuration
        self.server_rtc_configuration = server_rtc_configuration
        self.track_constraints = track_constraints
        self.additional_input_components = additional_inputs
        self.additional_output_components = additional_outputs
        self.additional_outputs_handler = additional_outputs_handler
        self.ui_args = ui_args
        self.verbose = verbose
        self.authorize = authorize
        self._ui: Any = None
        self._component: Any = None
        self._page: tuple[Any, Any] | None = None
        core = Core(
            handler,
            mode=mode,
            modality=modality,
            has_inputs=bool(additional_inputs),
            limit=self.concurrency_limit,
            time_limit_s=time_limit,
            allow_extra_tracks=allow_extra_tracks,
            rtp_params=rtp_params,
            server_rtc_configuration=server_rtc_configuration,
            authorize=authorize,
            reconnect_timeout_s=reconnect_timeout_s,
            shared=shared,
        )
        self._core = core
        self.factory = core.factory
        self._offers = core.offers
        # An encoder offers what it has, a player what it can show: the rest is declined.
        lenient = replace(core.allowed, allow_extra_tracks=True)
        self._one_way = {
            kind: Offers(self.factory, lenient, server_rtc_configuration, core.door, direction)
            for kind, direction in ONE_WAY.items()
            if mode in (direction, "send-receive")
        }
        self._telephone_guard = TelephoneGuard()
        self._warn_of_host = HostWarning(rtc_configuration)
        self._sockets = SocketDoors(
            self.factory,
            authorize,
            self._telephone_guard,
            modality,
            core.socket_refusal,
            allowed_origins,
        )
        self._mounted_at = ""
        self.connections = Connections(self.factory.registry)
        self.handlers = Handlers(self.factory.registry)
        self.sessions = Sessions(self.factory.registry)

    @property
    def ui(self) -> Any:
        """The page of this stream, a ``gradio.Blocks`` made when it is first asked for; settable.

        Raises:
            MissingExtension: Gradio is not installed.

        Example::

            stream.ui.launch()
            gr.mount_gradio_app(app, stream.ui, path="/ui")
        """
        return self._draw()[0] if self._ui is None else self._ui

    @ui.setter
    def ui(self, blocks: Any) -> None:
        self._ui = blocks

    @property
    def webrtc_component(self) -> Any:
        """The :class:`WebRTC` of the stream's own page, None without Gradio; settable."""
        if self._component is None:
            with suppress(MissingExtension):
                return self._draw()[1]
        return self._component

    @webrtc_component.setter
    def webrtc_component(self, component: Any) -> None:
        self._component = component

    def _draw(self) -> tuple[Any, Any]:
        """The page and the component in it, made once."""
        if self._page is None:
            require_gradio()
            self._warn_of_host()
            from fastrtc.ui.layouts import Page, build_page

            page = Page(
                core=self._core,
                handler=self.event_handler,
                mode=self.mode,
                modality=self.modality,
                concurrency_limit=self.concurrency_limit,
                time_limit=self.time_limit,
                rtc_configuration=self.rtc_configuration,
                track_constraints=self.track_constraints,
                rtp_params=self.rtp_params,
                inputs=self.additional_input_components or [],
                outputs=self.additional_output_components or [],
                outputs_handler=self.additional_outputs_handler,
                ui_args=self.ui_args or {},
            )
            self._page = build_page(page)
        return self._page

    def mount(self, app: FastAPI, path: str = "", tags: list[Any] | None = None) -> None:
        """Adds the stream's routes to an application and ends its sessions with it.

        Args:
            app: the application; a lifespan of its own goes on working.
            path: prefix of the routes, such as "/voice".
            tags: for the routes' documentation.

        Raises:
            ValueError: ``path`` does not begin with a slash.
        """
        path = path.rstrip("/")
        if path and not path.startswith("/"):
            raise ValueError(f"path is {path!r}; it has to begin with '/'")
        self._mounted_at = path
        offer = None if type(self).offer is Stream.offer else self.offer
        router = make_router(
            self._offers, self.authorize, self.get_rtc_configuration, path, tags, offer
        )
        router.add_api_websocket_route("/websocket/offer", self.websocket_offer)
        router.add_api_websocket_route("/telephone/handler", self.telephone_handler)
        for method in ("POST", "GET"):
            router.add_api_route(
                "/telephone/incoming",
                self.handle_incoming_call,
                methods=[method],
                tags=tags,
                response_class=Response,
                include_in_schema=method == "POST",
            )
        for kind, offers in self._one_way.items():
            configuration = self.get_rtc_configuration
            add_whip_routes(router, kind, offers, self.factory, self.authorize, configuration, tags)
        add_client_routes(router)
        app.include_router(router)
        inner = app.router.lifespan_context
        app.router.lifespan_context = with_lifespan(inner, self.factory, self._warn_of_host)

    async def offer(self, body: Body, request: Request = NO_REQUEST) -> Any:
        """Answers an offer or takes a candidate, for those who route it themselves.

        Args:
            body: :class:`Body`, or a dict or pydantic model of that form.
            request: the HTTP request, needed when the stream has ``authorize``.

        Returns:
            The body as a dict, or a JSONResponse where the status is not 200.

        Raises:
            HTTPException: ``authorize`` refused.
            pydantic.ValidationError: ``body`` is not of that form.
        """
        principal = await authorise(self.authorize, request)
        fields = body.model_dump() if isinstance(body, BaseModel) else body
        status, answer = await answer_offer(self._offers, Body.model_validate(fields), principal)
        return answer if status == 200 else JSONResponse(answer, status_code=status)

    async def websocket_offer(self, websocket: WebSocket) -> None:
        """Serves a client that speaks over a WebSocket, from before it is accepted to its end.

        For those who route it themselves: ``app.websocket("/talk")(stream.websocket_offer)``.
        """
        await self._sockets.websocket(websocket)

    async def handle_incoming_call(self, request: Request) -> Response:
        """Answers a telephone provider's webhook: connects the call to :meth:`telephone_handler`.

        Args:
            request: the webhook; ``?provider=`` is one of "twilio" (also without it), "telnyx",
                "plivo", "vonage" and "exotel". With a provider's secret in the environment (see
                docs/telephone.md), or ``FASTRTC_PHONE_KEY``, only requests that it signed, or that
                have the key as ``?key=``, are answered.

        Raises:
            HTTPException: ``authorize`` refused, signature or key are wrong, or the provider is
                unknown.
        """
        await authorise(self.authorize, request)
        return await answer_incoming(request, self._telephone_guard, self._mounted_at)

    async def telephone_handler(self, websocket: WebSocket) -> None:
        """Serves a call over a provider's media stream, from before it is accepted to its end.

        Args:
            websocket: the provider's; ``?provider=`` names it, else its first messages do. With
                secrets as for :meth:`handle_incoming_call` it has to bring the ticket of its
                answer, the key, or Twilio's signature.
        """
        await self._sockets.telephone(websocket)

    def fastphone(
        self,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 8000,
        *,
        service_url: str | None = None,
        **uvicorn_kwargs: Any,
    ) -> None:
        """Serves the stream at a telephone number of Hugging Face's free service; blocks.

        Prints the number, the code to type, and the minutes left. Needs Gradio, for its tunnel
        (``pip install 'fastrtc[ui]'``).

        Args:
            token: a Hugging Face token; else ``HF_TOKEN``, or the one that ``hf auth login`` left.
            host: to bind the server to.
            port: to bind the server to.
            service_url: another service; else ``FASTRTC_FASTPHONE_URL``.
            uvicorn_kwargs: for ``uvicorn.Config``.

        Raises:
            ConfigurationError: there is no token.
            FastphoneError: no tunnel could be opened, or the service gives no number.
            MissingExtension: Gradio is not installed.
        """
        from fastrtc.telephony.fastphone import run_fastphone
        from fastrtc.ui.tunnel import open_tunnel

        app = FastAPI()
        self.mount(app)
        # The service's calls come with the service's signatures.
        self._telephone_guard.stand_down()
        run_fastphone(
            app,
            open_tunnel,
            token=token,
            host=host,
            port=port,
            service_url=service_url,
            **uvicorn_kwargs,
        )

    async def get_rtc_configuration(self) -> dict[str, Any] | None:
        """The ``RTCConfiguration`` for browsers, a callable asked anew each time."""
        configuration: dict[str, Any] | None = await resolve(self.rtc_configuration)
        return configuration

    def set_input(self, webrtc_id: str, *args: Any) -> None:
        """Gives a client's handler its inputs; the next call sees them. From any thread.

        Inputs for a client that has not connected yet are held for a minute.
        """
        self.factory.set_input(webrtc_id, list(args))

    def output_stream(self, webrtc_id: str) -> AsyncIterator[AdditionalOutputs]:
        """The ``AdditionalOutputs`` of a client's handler, until its session ends.

        A reader may come before the session. What was produced before the first reader is kept
        (the newest 256); each of several readers gets all that is produced from then on.
        """
        return self.factory.outbox.read(webrtc_id)

    async def fetch_latest_output(self, webrtc_id: str) -> AdditionalOutputs:
        """The newest ``AdditionalOutputs`` not fetched yet; waits for the next if there are none.

        Raises:
            SessionClosed: the session ended meanwhile.
        """
        return await self.factory.outbox.latest(webrtc_id)

    async def update_connection(
        self, webrtc_id: str, desired_state: Literal["closed"] = "closed"
    ) -> None:
        """Asks a client to close its connection; nothing happens for an unknown id."""
        session = self.factory.registry.get(webrtc_id)
        if session is not None:
            session.send_message(create_message("update_connection", desired_state))

    def close(self, webrtc_id: str, message: str = "") -> None:
        """Ends a client's session and shows it ``message``. From any thread.

        Raises:
            KeyError: there is no such session.
        """
        session = self.connections[webrtc_id]
        session.loop.call_soon_threadsafe(session.close, message or "closed", message)

    async def shutdown(self, drain_s: float = 1.0) -> None:
        """Takes no new clients, tells those there are, gives them time to go, ends the rest.

        Runs by itself when an application that the stream is mounted on ends.

        Args:
            drain_s: how long clients get to go by themselves.
        """
        await self.factory.drain(drain_s, every_loop=True)
