"""POST terminate_connections and force_reconnect: end every connection that is signed in as a user (H-30, U-11).

Returns before the connections are closed; nothing waits for them.
"""

from __future__ import annotations

from engine.app import App
from engine.http.auth import Access
from engine.http.request import ApiRequest, ApiResponse, invalid, ok
from engine.interfaces import Adapter
from engine.protocol.channel import valid_user_id


class UserConnections:
    """Announces it to all workers; answers before the connections are closed."""

    def __init__(self, access: Access, adapter: Adapter) -> None:
        self._access = access
        self._adapter = adapter

    async def terminate(self, request: ApiRequest, app_id: str, user_id: str) -> ApiResponse:
        """POST /apps/{id}/users/{user}/terminate_connections."""
        return await self._terminate(self._access.app(request, app_id), user_id)

    async def terminate_by_key(self, request: ApiRequest, user_id: str) -> ApiResponse:
        """POST /users/{user}/terminate_connections, as pusher-http-python asks for it (H-30)."""
        return await self._terminate(self._access.app_of_key(request), user_id)

    async def force_reconnect(self, request: ApiRequest, app_id: str, user_id: str) -> ApiResponse:
        """POST /apps/{id}/users/{user}/force_reconnect: its clients come back at once, as when it must sign in anew."""
        return await self._terminate(self._access.app(request, app_id), user_id, reconnect=True)

    async def _terminate(self, app: App, user_id: str, *, reconnect: bool = False) -> ApiResponse:
        if not valid_user_id(user_id):
            raise invalid("The user id is not valid")
        await self._adapter.terminate(app.id, user_id, reconnect=reconnect)
        return ok({})
