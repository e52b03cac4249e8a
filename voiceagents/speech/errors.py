"""What does a client read when a request is refused?

OpenAI's error object, whatever went wrong, so that the client libraries raise the exceptions they are documented to
raise.
"""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException


class ApiError(Exception):
    """A refusal: the HTTP status, and what OpenAI's error object says about it."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


def no_such_model(asked: str, served: str) -> ApiError:
    message = f"The model `{asked}` does not exist. This is the offline server; its model for this is `{served}`."
    return ApiError(404, message, param="model", code="model_not_found")


_TYPES = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}


def error_response(error: ApiError) -> JSONResponse:
    kind = _TYPES.get(error.status, "invalid_request_error")
    body = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    headers = {"retry-after": "1"} if error.status in (429, 503) else None
    return JSONResponse({"error": body}, status_code=error.status, headers=headers)


def from_validation(error: ValidationError | RequestValidationError) -> ApiError:
    """The first thing wrong with a body, named by its path: `messages.0.role`."""
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"] if part != "body") or None
    return ApiError(400, f"{first['msg']}{f' ({param})' if param else ''}", param=param, code="invalid_value")


def answer_errors_as_openai_does(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        code = "unknown_url" if error.status_code == 404 else None
        message = f"{error.detail}: {request.method} {request.url.path}"
        return error_response(ApiError(error.status_code, message, code=code))

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        message = f"The speech server failed: {type(error).__name__}"
        return error_response(ApiError(500, message, code="internal_error"))
