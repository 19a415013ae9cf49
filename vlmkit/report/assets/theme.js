// Light, dark, or as the system has it.

/** Makes the choice of a theme work; it is remembered where the browser allows that for files. */
function startTheme() {
  const choice = byId("theme");
  const storage = storageOrNone();
  choice.value = storage?.getItem("vlmkit-theme") ?? "";
  const apply = () => {
    document.documentElement.dataset.theme = choice.value;
    storage?.setItem("vlmkit-theme", choice.value);
  };
  choice.addEventListener("change", apply);
  apply();
}

function storageOrNone() {
  try {
    return window.localStorage;
  } catch {
    return undefined;
  }
}
