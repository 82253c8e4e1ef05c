// Runs before the page is drawn, so that a chosen theme does not flash. Not a module for that reason.
{
  let theme = null;
  try {
    theme = localStorage.getItem("f5serve.theme");
  } catch {
    // Storage is switched off: the theme of the system it is.
  }
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
}
