"""How does a person get in and out? Sign-in, sign-out, and the one-time link of an invitation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from voiceagents.web import accounts, sessions
from voiceagents.web.accounts import AccountProblem, Welcome
from voiceagents.web.auth import Principal, clear_session, client_address, optional_user, session_token, set_session
from voiceagents.web.pages.rendering import local_target, page, then
from voiceagents.web.problems import not_found
from voiceagents.web.sessions import SignInRefused
from voiceagents.web.state import database_of

router = APIRouter()

Visitor = Annotated[Principal | None, Depends(optional_user)]
_HOME = "/campaigns"


@router.get("/")
async def home() -> Response:
    return RedirectResponse(_HOME, status_code=303)


@router.get("/sign-in")
async def ask(request: Request, visitor: Visitor, next: str = _HOME) -> Response:
    target = local_target(next, _HOME)
    if visitor is not None:
        return RedirectResponse(target, status_code=303)
    return page(request, None, "sign_in", next=target, email="", problem="")


@router.post("/sign-in")
async def sign_in(
    request: Request,
    email: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = _HOME,
) -> Response:
    state = request.app.state
    target = local_target(next, _HOME)
    try:
        signed_in = await sessions.sign_in(
            state.database,
            state.passwords,
            email,
            password,
            address=client_address(request),
            browser=request.headers.get("user-agent", ""),
        )
    except SignInRefused as error:
        status = 401 if error.wait is None else 429
        response = page(request, None, "sign_in", status=status, next=target, email=email, problem=str(error))
        if error.wait is not None:
            response.headers["Retry-After"] = str(error.wait)
        return response
    response = RedirectResponse(target, status_code=303)
    set_session(request, response, signed_in.token)
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    if token := session_token(request):
        await sessions.sign_out(database_of(request), token)
    response = then(request, "/sign-in", "You are signed out.")
    clear_session(request, response)
    return response


@router.get("/welcome/{token}")
async def welcome(request: Request, token: str) -> Response:
    return _welcome_page(request, await _good_for(request, token))


@router.post("/welcome/{token}")
async def accept(
    request: Request,
    token: str,
    email: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
) -> Response:
    database = database_of(request)
    good_for = await _good_for(request, token)
    try:
        user = await accounts.accept(
            database, request.app.state.passwords, token, email=email, name=name, password=password
        )
    except AccountProblem as error:
        return _welcome_page(request, good_for, {"email": email, "name": name}, {error.field or "": str(error)})
    async with database.transaction() as session:
        made = await sessions.start(session, user, request.headers.get("user-agent", ""))
    response = then(request, _HOME, f"Welcome, {user.name or user.email}.")
    set_session(request, response, made)
    return response


async def _good_for(request: Request, token: str) -> Welcome:
    try:
        return await accounts.welcome(database_of(request), token)
    except AccountProblem as error:
        raise not_found(str(error)) from None


def _welcome_page(
    request: Request, good_for: Welcome, given: dict[str, str] | None = None, errors: dict[str, str] | None = None
) -> Response:
    shown = given or {"email": good_for.email, "name": good_for.name}
    return page(
        request, None, "welcome", status=422 if errors else 200, welcome=good_for, given=shown, errors=errors or {}
    )
