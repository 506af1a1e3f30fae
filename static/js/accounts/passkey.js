// Passkeys: fills the hidden `credential` of a form with what the browser's authenticator answers, then submits it.

const decode = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
const encode = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const decodeIds = (list = []) => list.map((each) => ({ ...each, id: decode(each.id) }));

async function create({ publicKey }, isPasswordless) {
  const options = {
    ...publicKey,
    challenge: decode(publicKey.challenge),
    user: { ...publicKey.user, id: decode(publicKey.user.id) },
    excludeCredentials: decodeIds(publicKey.excludeCredentials),
  };
  if (isPasswordless) {
    options.authenticatorSelection = { ...options.authenticatorSelection, residentKey: "required", requireResidentKey: true, userVerification: "required" };
  }
  return navigator.credentials.create({ publicKey: options });
}

async function get({ publicKey }) {
  const options = { ...publicKey, challenge: decode(publicKey.challenge), allowCredentials: decodeIds(publicKey.allowCredentials) };
  return navigator.credentials.get({ publicKey: options });
}

/** What the portal reads: the credential as JSON, binary values in base64url. */
function toJson(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = encode(credential.response[name]);
  }
  if (credential.response.getTransports) response.transports = credential.response.getTransports();
  const { id, type } = credential;
  return JSON.stringify({ id, rawId: encode(credential.rawId), type, response, clientExtensionResults: credential.getClientExtensionResults() });
}

async function options(element) {
  if (element.dataset.options) return JSON.parse(element.dataset.options);
  const response = await fetch(element.dataset.optionsUrl, { headers: { Accept: "application/json" }, cache: "no-store" });
  const found = await response.json();
  return found.request_options ?? found;
}

/** Ask the authenticator; `element` has the options, the form the field. Shows why it failed; returns whether not. */
export async function fill(element, form) {
  const error = form.querySelector(".field-error[role=alert]");
  error.hidden = true;
  try {
    const isCreate = form.dataset.passkey === "create";
    const found = await options(element);
    const credential = isCreate ? await create(found, form.elements.passwordless?.checked) : await get(found);
    form.querySelector("[name=credential], [name=confirm-credential]").value = toJson(credential);
    return true;
  } catch (failure) {
    error.textContent = failure.name === "InvalidStateError" ? "This device has a passkey for you already." : "The passkey was not used. Try again.";
    error.hidden = false;
    return false;
  }
}

if (window.PublicKeyCredential) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await fill(form, form)) form.submit();
    });
  }
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-passkey-button]");
  if (button && await fill(button, button.form)) button.form.requestSubmit();
});
