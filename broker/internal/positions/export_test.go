package positions

// InFlight is how many positions may be taken and not yet completed.
const InFlight = inFlight

// ForgottenCells is how many positions a [Forgotten] remembers.
const ForgottenCells = forgottenCells
