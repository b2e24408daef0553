"use strict";

window.addEventListener("DOMContentLoaded", () => {
  SwaggerUIBundle({
    dom_id: "#api",
    url: "openapi.json",
    deepLinking: true,
    // Swagger's own validator is on the internet.
    validatorUrl: null,
  });
});
