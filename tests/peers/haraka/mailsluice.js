// What the peers matrix asks of Haraka; mailsluice.json has the settings.
exports.register = function () {
  this.settings = this.config.get("mailsluice.json");
};

exports.hook_mail = function (next, connection) {
  const { secure, login } = this.settings;
  if (secure && !connection.tls.enabled) return next(DENY, "STARTTLS first");
  if (login && !connection.notes.auth_user) return next(DENY, "AUTH first");
  next();
};

exports.hook_rcpt = function (next, connection, [recipient]) {
  if (recipient.host === this.settings.refused) return next(DENY, "nobody here");
  // Its queue takes mail only from clients that may relay.
  connection.relaying = true;
  next(OK);
};

exports.hook_get_mx = function (next) {
  next(OK, this.settings.next);
};
