/** Where the daemon of this host answers unless it is told otherwise. */
export const DEFAULT_HOST = 'unix:///run/skein/control.sock'
