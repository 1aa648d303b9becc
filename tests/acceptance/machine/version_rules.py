"""What may be done to versions, and to the whole service: all that is kept."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.acceptance.machine.agreement import NUMBERS, ServiceMachine

TAGS = st.sampled_from(["stable", "new"])


class VersionRules(ServiceMachine):
    """Rules about versions and backups."""

    @precondition(lambda self: any(p.versions for p in self.pipelines.values()))
    @rule(which=NUMBERS, number=NUMBERS)
    def restore(self, which: int, number: int) -> None:
        pipeline = self._pick(which)
        if not pipeline.versions:
            assert self._post(f"/pipeline/{pipeline.name}/versions/1/restore").status_code == 404
            return
        chosen, newest = self._version(pipeline, number), pipeline.newest
        assert newest is not None
        answer = self._post(f"/pipeline/{pipeline.name}/versions/{chosen}/restore")
        if pipeline.versions[chosen].held:
            assert answer.status_code == 409, answer.text
            return
        same = pipeline.versions[chosen].rows == pipeline.versions[newest].rows
        assert answer.status_code == (200 if same else 201), answer.text
        if not same:
            pipeline.restored(chosen)
            self._published(pipeline)
        assert answer.json()["version"] == pipeline.newest
        self._triggered()

    @precondition(lambda self: any(v.held for p in self.pipelines.values() for v in p.versions.values()))
    @rule(which=NUMBERS, number=NUMBERS, accept=st.booleans())
    def decide(self, which: int, number: int, accept: bool) -> None:
        """A held version is published or removed; others are not."""
        pipeline = self._pick(which)
        if not pipeline.versions:
            return
        chosen = self._version(pipeline, number)
        version, path = pipeline.versions[chosen], f"/pipeline/{pipeline.name}/versions/{chosen}"
        if accept:
            answer = self._post(f"{path}/accept")
            accepted = version.held and pipeline.is_acceptable(chosen)
            assert answer.status_code == (200 if accepted else 409), answer.text
            if accepted:
                version.held = False
                self._published(pipeline)
                self._triggered()
        else:
            answer = self.world.send("POST", f"{path}/reject")
            rejected = version.held and pipeline.is_deletable(chosen)
            assert answer.status_code == (204 if rejected else 409), answer.text
            if rejected:
                del pipeline.versions[chosen]

    @precondition(lambda self: any(p.versions for p in self.pipelines.values()))
    @rule(which=NUMBERS, number=NUMBERS)
    def delete_version(self, which: int, number: int) -> None:
        pipeline = self._pick(which)
        if not pipeline.versions:
            return
        chosen = self._version(pipeline, number)
        answer = self.world.send("DELETE", f"/pipeline/{pipeline.name}/versions/{chosen}")
        assert answer.status_code == (204 if pipeline.is_deletable(chosen) else 409), answer.text
        if pipeline.is_deletable(chosen):
            del pipeline.versions[chosen]

    @precondition(lambda self: any(p.versions for p in self.pipelines.values()))
    @rule(which=NUMBERS, number=NUMBERS, pin=st.booleans())
    def pin_or_unpin(self, which: int, number: int, pin: bool) -> None:
        pipeline = self._pick(which)
        if pipeline.versions:
            chosen = self._version(pipeline, number)
            self.world.ask("POST", f"/pipeline/{pipeline.name}/versions/{chosen}/{'pin' if pin else 'unpin'}")
            pipeline.versions[chosen].pinned = pin

    @precondition(lambda self: any(p.versions for p in self.pipelines.values()))
    @rule(which=NUMBERS, number=NUMBERS, tag=TAGS)
    def tag(self, which: int, number: int, tag: str) -> None:
        pipeline = self._pick(which)
        if pipeline.versions:
            chosen = self._version(pipeline, number)
            self.world.ask("POST", f"/pipeline/{pipeline.name}/versions/{chosen}/tag", json={"tag": tag})
            for version in pipeline.versions.values():
                version.tags.discard(tag)
            pipeline.versions[chosen].tags.add(tag)
            shown = self.world.ask("GET", f"/pipeline/{pipeline.name}/data?version={tag}")
            assert shown["version"] == chosen

    @precondition(lambda self: self.pipelines)
    @rule(which=NUMBERS, tag=TAGS)
    def untag(self, which: int, tag: str) -> None:
        pipeline = self._pick(which)
        tagged = [version for version in pipeline.versions.values() if tag in version.tags]
        answer = self.world.send("DELETE", f"/pipeline/{pipeline.name}/tags/{tag}")
        assert answer.status_code == (204 if tagged else 404)
        for version in tagged:
            version.tags.discard(tag)

    @precondition(lambda self: self.unsaved)
    @rule()
    def back_up(self) -> None:
        self.unsaved = False
        made = self.world.ask("POST", "/admin/backup", json={"directory": str(self.world.backups)})
        assert made["versions"] >= sum(len(p.versions) for p in self.pipelines.values())

    @precondition(lambda self: self.keyed)
    @rule(which=NUMBERS)
    def send_again(self, which: int) -> None:
        """The same key gets the same answer, byte for byte, and another request of it a conflict."""
        path, sent, first, key = self.keyed[which % len(self.keyed)]
        answer = self.world.send("POST", path, headers={"Idempotency-Key": key}, **sent)
        assert (answer.status_code, answer.content) == (first.status_code, first.content)
        assert answer.headers["Idempotency-Replayed"] == "true"
        other = f"{path}&wait=1" if "?" in path else f"{path}?wait=1"
        refused = self.world.send("POST", other, headers={"Idempotency-Key": key}, **sent)
        assert refused.json()["error"]["code"] == "IDEMPOTENCY_CONFLICT", refused.text
