"""The replaceable parts of the engine, as types.

Types only: no behaviour lives here. A use case takes the interface; `parts.py` hands it the driver that the
configuration names. Every driver passes the contract tests of its interface (`tests/contract/`).
"""

from engine.interfaces.adapter import Adapter as Adapter
from engine.interfaces.adapter import ClusterEvents as ClusterEvents
from engine.interfaces.adapter import Message as Message
from engine.interfaces.apps import AppSource as AppSource
from engine.interfaces.history import Bounds as Bounds
from engine.interfaces.history import HistoryStore as HistoryStore
from engine.interfaces.history import Kept as Kept
from engine.interfaces.history import Page as Page
from engine.interfaces.history import PageQuery as PageQuery
from engine.interfaces.history import Purged as Purged
from engine.interfaces.history import Replayed as Replayed
from engine.interfaces.history import ReplayQuery as ReplayQuery
from engine.interfaces.history import Stream as Stream
from engine.interfaces.occupancy import Answer as Answer
from engine.interfaces.occupancy import ChannelsPage as ChannelsPage
from engine.interfaces.occupancy import Due as Due
from engine.interfaces.occupancy import Interest as Interest
from engine.interfaces.occupancy import InterestOf as InterestOf
from engine.interfaces.occupancy import KeptChange as KeptChange
from engine.interfaces.occupancy import MemberChange as MemberChange
from engine.interfaces.occupancy import MemberReport as MemberReport
from engine.interfaces.occupancy import MembersPage as MembersPage
from engine.interfaces.occupancy import OccupancyPages as OccupancyPages
from engine.interfaces.occupancy import OccupancyStore as OccupancyStore
from engine.interfaces.occupancy import Report as Report
from engine.interfaces.occupancy import TotalChange as TotalChange
from engine.interfaces.occupancy import Transition as Transition
from engine.interfaces.stores import CacheStore as CacheStore
from engine.interfaces.stores import IdempotencyStore as IdempotencyStore
from engine.interfaces.stores import RateDecision as RateDecision
from engine.interfaces.stores import RateLimiter as RateLimiter
from engine.interfaces.webhooks import Backlog as Backlog
from engine.interfaces.webhooks import Job as Job
from engine.interfaces.webhooks import Reservation as Reservation
from engine.interfaces.webhooks import WebhookQueue as WebhookQueue
from engine.interfaces.webhooks import WebhookSender as WebhookSender
