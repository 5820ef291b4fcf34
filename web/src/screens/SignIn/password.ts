// The rules for a new password, as the server keeps them and as people read them.

export interface Rule {
  words: string;
  kept: boolean;
}

export function passwordRules(password: string): Rule[] {
  return [
    { words: '8 characters or more', kept: [...password].length >= 8 },
    { words: 'a capital letter', kept: /\p{Lu}/u.test(password) },
    { words: 'a small letter', kept: /\p{Ll}/u.test(password) },
    { words: 'a digit', kept: /\d/.test(password) },
  ];
}
