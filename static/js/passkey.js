// Passkeys (Web Authentication, level 3): a form asks the browser for one, and sends what it answers.
(() => {
  const known = window.PublicKeyCredential;
  if (!known?.parseRequestOptionsFromJSON) return;

  const ask = async (form) => {
    let options = form.dataset.options;
    if (!options) {
      // Asked for when it is needed: each is good once.
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (!answer.ok) throw new Error(String(answer.status));
      options = await answer.text();
    }
    const { publicKey } = JSON.parse(options);
    return form.dataset.passkey === "create"
      ? navigator.credentials.create({ publicKey: known.parseCreationOptionsFromJSON(publicKey) })
      : navigator.credentials.get({ publicKey: known.parseRequestOptionsFromJSON(publicKey) });
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const problem = form.querySelector("[role=alert]");
      problem.hidden = true;
      try {
        const credential = await ask(form);
        form.elements.credential.value = JSON.stringify(credential.toJSON());
        form.submit();
      } catch (error) {
        // A TypeError is fetch's: there was no answer, and no passkey has been asked for.
        problem.textContent = (error instanceof TypeError && form.dataset.offline) || form.dataset.failed;
        problem.hidden = false;
      }
    });
  }
})();
