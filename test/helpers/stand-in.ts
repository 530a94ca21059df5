// An object that a hook makes, for those who name it before: tests of a file that share a server. Runs in the process of the test.

/** Whatever is asked of it is asked of the object that is there by then. */
export function standIn<T extends object>(find: () => T): T {
  return new Proxy({} as T, {
    get: (_target, property) => {
      const object = find();
      const value: unknown = Reflect.get(object, property, object);
      return typeof value === 'function' ? (value.bind(object) as unknown) : value;
    },
    set: (_target, property, value) => Reflect.set(find(), property, value),
  });
}
