// Talking to an assistant in the browser: the browser joins the assistant's room in place of a phone.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const card = document.querySelector("[data-talk]");
  if (!card) return;
  const begin = card.querySelector("[data-begin]"), end = card.querySelector("[data-end]"), state = card.querySelector("[data-state]");
  const loudness = card.querySelector("[data-loudness]"), transcript = card.querySelector("[data-said-here]");
  const csrf = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF-Token"];
  let room = null, name = "", meter = 0, following = 0;

  // What is said is read from the history, where it is kept anyway.
  const follow = async () => {
    const answer = await fetch(card.dataset.talks + name, { headers: { Accept: "application/json" } });
    if (!answer.ok) return null;
    const { call, turns } = await answer.json();
    turns.slice(transcript.children.length).forEach(({ speaker, text }) => {
      const line = Object.assign(document.createElement("li"), { className: speaker });
      line.append(Object.assign(document.createElement("span"), { className: "at quiet", textContent: speaker === "agent" ? "It" : "You" }),
        Object.assign(document.createElement("span"), { className: "says", textContent: text }));
      transcript.append(line);
    });
    return call;
  };

  const showCall = async () => {
    const call = await follow();
    if (call) state.append(" ", Object.assign(document.createElement("a"), { href: call, textContent: "See this call" }));
  };

  const over = (words) => {
    clearInterval(meter);
    clearInterval(following);
    room = null;
    begin.hidden = false; end.hidden = true; loudness.hidden = true;
    begin.removeAttribute("aria-busy");
    state.textContent = words;
  };

  begin.addEventListener("click", async () => {
    begin.setAttribute("aria-busy", "true");
    state.textContent = "Asking for the microphone.";
    transcript.replaceChildren();
    // The microphone first: asking for it may take a person longer than the assistant waits for somebody in the room.
    let microphone;
    try {
      microphone = await LivekitClient.createLocalAudioTrack();
    } catch (error) {
      over(error.name === "NotAllowedError" ? "The browser does not let this page use the microphone." : `There is no microphone: ${error.message}`);
      return;
    }
    const answer = await fetch(card.dataset.talk, { method: "POST", headers: { "X-CSRF-Token": csrf(), "HX-Request": "true" } });
    if (!answer.ok) {
      const said = new DOMParser().parseFromString(await answer.text(), "text/html").body.textContent.trim();
      microphone.stop();
      over(said || "The assistant cannot be reached.");
      return;
    }
    const given = await answer.json();
    name = given.room;
    room = new LivekitClient.Room();
    const { RoomEvent } = LivekitClient;
    room.on(RoomEvent.TrackSubscribed, (track) => {
      if (track.kind !== "audio") return;
      document.body.append(Object.assign(track.attach(), { hidden: true }));
      room.localParticipant.setAttributes({ "sip.callStatus": "active" });
      state.textContent = "Connected: say something.";
    });
    room.on(RoomEvent.Disconnected, () => { over("The call is over."); showCall(); });
    try {
      await room.connect(given.url, given.token);
      await room.startAudio();
      await room.localParticipant.publishTrack(microphone);
      if (!state.textContent.startsWith("Connected")) state.textContent = "Waiting for the assistant to pick up.";
      begin.hidden = true; end.hidden = false; loudness.hidden = false;
      following = setInterval(follow, 1000);
      meter = setInterval(() => { loudness.value = Math.max(0, ...[...(room?.remoteParticipants.values() ?? [])].map((one) => one.audioLevel)); }, 100);
    } catch (error) {
      await room.disconnect();
      microphone.stop();
      over(`It did not work: ${error.message}`);
    }
  });
  end.addEventListener("click", () => room?.disconnect());
});
