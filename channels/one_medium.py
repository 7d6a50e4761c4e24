"""What channels of a single medium share: whose addresses they take, and whose words they refuse."""

from typing import ClassVar

from channels import addresses, estimates
from channels.base import Channel, Content, Medium
from channels.errors import BadAddress, CannotExpress


class OneMedium(Channel):
    """A channel that carries one medium. called: that medium in words, for its refusals."""

    medium: ClassVar[Medium]
    called: ClassVar[str]

    def normalise(self, address: str, medium: Medium) -> str:
        if medium is not self.medium:
            raise BadAddress(f"{self.name} carries {self.called} alone")
        return addresses.normalise(address, medium)

    def require_fit(self, content: Content) -> None:
        """CannotExpress where the words are of another medium, empty, or too many."""
        if content.medium is not self.medium:
            raise CannotExpress(f"{self.name} carries {self.called} alone")
        estimates.require_room(content)
