"""Collections on the Hub: the named lists that a published model is added to."""

from itertools import islice
from typing import TYPE_CHECKING, Final

from ramekin.publish.landing import land

if TYPE_CHECKING:
    from huggingface_hub import Collection

    from ramekin.publish.writer import HubWriter

_MODEL: Final = "model"
_MOST: Final = 1_000
"""Collections of one namespace that are looked through for a title."""
_LEFT: Final = "all else is published"
_AGAIN: Final = "run the same command again: it does only what is missing"


def namespace_of(collection: str) -> str | None:
    """The namespace of a collection that is named by its slug; None for a title."""
    namespace, slash, _ = collection.partition("/")
    return namespace if slash else None


def check_collection(client: "HubWriter", collection: str) -> None:
    """Find out before the work whether a collection that is named by its slug is there.

    Raises:
        PublishError: It is not, or may not be seen.
    """
    if namespace_of(collection):
        with client.writing(collection, "look at the collection", "check output.collection"):
            client.patiently(lambda: client.api.get_collection(collection))


def add_to_collection(client: "HubWriter", collection: str, repo: str, note: str) -> None:
    """Add a repository to a collection, unless it is in it. One that is named by a title is made if it is not there.

    Args:
        client: The Hub.
        collection: Slug, or a title in the namespace of the repository.
        repo: Repository.
        note: What stands beside it, as plain text.

    Raises:
        PublishError: The Hub refuses, or cannot be reached.
    """
    slug = collection if namespace_of(collection) else _titled(client, collection, repo)
    action = f"add it to the collection {slug}, though it is published"

    def there() -> bool | None:
        with client.writing(repo, action, _AGAIN):
            items = client.patiently(lambda: client.api.get_collection(slug)).items
        return any((item.item_type, item.item_id.casefold()) == (_MODEL, repo.casefold()) for item in items) or None

    def add() -> bool:
        with client.once(repo, action, _AGAIN):
            client.api.add_collection_item(slug, repo, _MODEL, note=note, exists_ok=True)
        return True

    if not there():
        land(client, repo, "the entry in the collection", add, there, _LEFT)


def _titled(client: "HubWriter", title: str, repo: str) -> str:
    """Slug of the collection of this title in the namespace of a repository; it is as private as that one if made."""
    namespace = repo.partition("/")[0]
    action = f"make the collection “{title}”, though it is published"

    def found() -> str | None:
        with client.writing(repo, action, _AGAIN):
            listed: list[Collection] = client.patiently(
                lambda: list(islice(client.api.list_collections(owner=namespace), _MOST))
            )
        return next((one.slug for one in listed if one.title == title and one.slug.startswith(f"{namespace}/")), None)

    def make() -> str:
        state = client.state(repo)
        private = state is None or state.private
        with client.once(repo, action, _AGAIN):
            return client.api.create_collection(title, namespace=namespace, private=private, exists_ok=True).slug

    return found() or land(client, repo, "the collection", make, found, _LEFT)
