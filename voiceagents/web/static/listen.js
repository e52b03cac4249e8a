// Listening in on a call: joins its room unseen and unheard, and plays what is said there.
"use strict";
(() => {
  let room = null, button = null;
  const csrf = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF-Token"];
  const say = (words) => { (document.querySelector("[data-listening]") || document.getElementById("spoken")).textContent = words; };

  const stop = async () => {
    const leaving = room;
    room = null;
    if (button) { button.textContent = "Listen in"; button.setAttribute("aria-pressed", "false"); }
    await leaving?.disconnect();
  };

  const listen = async (pressed) => {
    await stop();
    button = pressed;
    const answer = await fetch(pressed.dataset.listen, { method: "POST", headers: { "X-CSRF-Token": csrf() } });
    if (!answer.ok) { say((await answer.json().catch(() => ({}))).detail || "This call cannot be heard: it may have ended."); return; }
    const { url, token } = await answer.json();
    room = new LivekitClient.Room();
    room.on(LivekitClient.RoomEvent.TrackSubscribed, (track) => { if (track.kind === "audio") document.body.append(Object.assign(track.attach(), { hidden: true })); });
    room.on(LivekitClient.RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()));
    room.on(LivekitClient.RoomEvent.Disconnected, () => { say("No longer listening."); stop(); });
    try {
      await room.connect(url, token);
      await room.startAudio();
      pressed.textContent = "Stop listening"; pressed.setAttribute("aria-pressed", "true");
      say("Listening. Nobody in the call hears or sees you.");
    } catch (error) { say(`The room could not be joined: ${error.message}`); await stop(); }
  };

  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-listen]");
    if (pressed) pressed.getAttribute("aria-pressed") === "true" ? stop() : listen(pressed);
  });
  // A list that is read anew has new buttons: the one that listens stays pressed.
  document.body.addEventListener("htmx:afterSwap", () => {
    if (!room || !button) return;
    const same = [...document.querySelectorAll("[data-listen]")].find((one) => one.dataset.listen === button.dataset.listen);
    if (same) { button = same; same.textContent = "Stop listening"; same.setAttribute("aria-pressed", "true"); }
  });
})();
