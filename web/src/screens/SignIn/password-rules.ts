// The rules for a new password, the same as the server's.

export interface PasswordRule {
  name: 'length' | 'upperCase' | 'lowerCase' | 'digit';
  met: boolean;
}

export function passwordRules(password: string): PasswordRule[] {
  return [
    { name: 'length', met: [...password].length >= 8 },
    { name: 'upperCase', met: /\p{Lu}/u.test(password) },
    { name: 'lowerCase', met: /\p{Ll}/u.test(password) },
    { name: 'digit', met: /\d/.test(password) },
  ];
}
